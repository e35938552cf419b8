// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's hash maps, queues, bit sets and sorts of records.
const std = @import("std");
var memory: [1 << 20]u8 = undefined;
const Item = struct { key: u64, weight: f32, name: []const u8 };

fn lighter(_: void, a: Item, b: Item) bool {
    return a.weight < b.weight or (a.weight == b.weight and std.mem.lessThan(u8, a.name, b.name));
}

export fn words(text: [*]const u8, size: usize) usize {
    var fixed = std.heap.FixedBufferAllocator.init(&memory);
    const gpa = fixed.allocator();
    var counts: std.StringHashMapUnmanaged(u32) = .empty;
    var items: std.ArrayList(Item) = .empty;
    var seen = @as(std.StaticBitSet(256), .empty);
    var parts = std.mem.tokenizeAny(u8, text[0..size], " \t\r\n,.;");
    while (parts.next()) |word| {
        const entry = counts.getOrPut(gpa, word) catch return 0;
        entry.value_ptr.* = if (entry.found_existing) entry.value_ptr.* + 1 else 1;
        seen.set(word[0]);
    }
    var all = counts.iterator();
    while (all.next()) |entry|
        items.append(gpa, .{ .key = std.hash.Wyhash.hash(1, entry.key_ptr.*), .weight = @floatFromInt(entry.value_ptr.*), .name = entry.key_ptr.* }) catch return 0;
    std.sort.block(Item, items.items, {}, lighter);
    std.sort.pdq(Item, items.items, {}, lighter);
    return items.items.len + seen.count() + std.mem.count(u8, text[0..size], "the");
}

export fn unicode(text: [*]const u8, size: usize, out: [*]u16) usize {
    var view = (std.unicode.Utf8View.init(text[0..size]) catch return 0).iterator();
    var sum: usize = 0;
    while (view.nextCodepoint()) |point| sum += point;
    var encoded: [1024]u8 = undefined;
    const base64 = std.base64.standard.Encoder.encode(&encoded, text[0..@min(size, 700)]);
    std.base64.standard.Decoder.decode(encoded[0..700], base64) catch return sum;
    return sum + (std.unicode.utf8ToUtf16Le(out[0..size], text[0..size]) catch 0);
}
