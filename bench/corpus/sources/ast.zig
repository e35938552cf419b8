// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's own tokenizer and parser.
const std = @import("std");
var memory: [65536]u8 = undefined;

export fn run(text: [*]const u8, size: usize) usize {
    var fixed = std.heap.FixedBufferAllocator.init(&memory);
    const gpa = fixed.allocator();
    const source = gpa.dupeSentinel(u8, text[0..size], 0) catch return 0;
    var tree = std.zig.Ast.parse(gpa, source, .{}) catch return 0;
    defer tree.deinit(gpa);
    return tree.nodes.len + tree.errors.len;
}
