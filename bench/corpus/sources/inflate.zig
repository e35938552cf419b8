// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's decompressors (deflate, Zstandard).
const std = @import("std");
var window: [65536 * 4]u8 = undefined;

export fn inflate(data: [*]const u8, size: usize, out: [*]u8, room: usize) usize {
    var input: std.Io.Reader = .fixed(data[0..size]);
    var flate: std.compress.flate.Decompress = .init(&input, .gzip, window[0..65536]);
    return flate.reader.readSliceShort(out[0..room]) catch 0;
}

export fn unzstd(data: [*]const u8, size: usize, out: [*]u8, room: usize) usize {
    var input: std.Io.Reader = .fixed(data[0..size]);
    var zstd: std.compress.zstd.Decompress = .init(&input, &window, .{ .window_len = 1 << 16 });
    return zstd.reader.readSliceShort(out[0..room]) catch 0;
}
