// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's big integers and its printing and parsing of numbers.
const std = @import("std");
var memory: [65536]u8 = undefined;

export fn power(digits: [*]const u8, size: usize, exponent: u32, out: [*]u8, room: usize) usize {
    var fixed = std.heap.FixedBufferAllocator.init(&memory);
    const gpa = fixed.allocator();
    var base = std.math.big.int.Managed.init(gpa) catch return 0;
    base.setString(10, digits[0..size]) catch return 0;
    var result = std.math.big.int.Managed.init(gpa) catch return 0;
    result.pow(&base, exponent) catch return 0;
    const text = result.toString(gpa, 10, .lower) catch return 0;
    @memcpy(out[0..@min(room, text.len)], text[0..@min(room, text.len)]);
    return text.len;
}

export fn print(x: f64, y: f32, n: i64, out: [*]u8, room: usize) usize {
    var writer: std.Io.Writer = .fixed(out[0..room]);
    writer.print("{d} {e} {d:.3} {x} {b:0>8} {d}\n", .{ x, y, x, @as(u64, @bitCast(n)), @as(u8, @truncate(@as(u64, @bitCast(n)))), n }) catch return 0;
    return writer.end;
}

export fn parse(text: [*]const u8, size: usize) f64 {
    const whole = std.fmt.parseInt(i64, text[0..size], 0) catch 0;
    return (std.fmt.parseFloat(f64, text[0..size]) catch 0) + @as(f64, @floatFromInt(whole));
}
