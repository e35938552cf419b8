// SPDX-License-Identifier: Apache-2.0
// A guest in Zig: arguments, a hash map, formatted output, an exit code.
const std = @import("std");
const wasi = std.os.wasi;

pub fn main() !u8 {
    var memory: [8192]u8 = undefined;
    var fixed = std.heap.FixedBufferAllocator.init(&memory);
    var counts = std.AutoHashMap(u8, u32).init(fixed.allocator());
    for ("abracadabra") |letter| {
        const entry = try counts.getOrPutValue(letter, 0);
        entry.value_ptr.* += 1;
    }
    var line: [64]u8 = undefined;
    const text = try std.fmt.bufPrint(&line, "a {d} b {d} r {d}\n", .{ counts.get('a').?, counts.get('b').?, counts.get('r').? });
    var written: usize = 0;
    const vector = wasi.ciovec_t{ .base = text.ptr, .len = text.len };
    if (wasi.fd_write(1, @ptrCast(&vector), 1, &written) != .SUCCESS) return 1;
    return 5;
}
