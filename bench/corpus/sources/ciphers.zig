// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's ciphers and hashes, without those that the bench kernels use.
const std = @import("std");
const crypto = std.crypto;

export fn seal(key: *const [32]u8, nonce: *const [12]u8, data: [*]u8, size: usize) u32 {
    var tag: [16]u8 = undefined;
    crypto.aead.chacha_poly.ChaCha20Poly1305.encrypt(data[0..size], &tag, data[0..size], "header", nonce.*, key.*);
    return std.mem.readInt(u32, tag[0..4], .little);
}

export fn digest(data: [*]const u8, size: usize, out: *[32]u8) void {
    var second: [32]u8 = undefined;
    crypto.hash.Blake3.hash(data[0..size], out, .{});
    crypto.hash.sha3.Sha3_256.hash(data[0..size], &second, .{});
    for (out, second) |*a, b| a.* ^= b;
    crypto.hash.blake2.Blake2s256.hash(data[0..size], &second, .{});
    for (out, second) |*a, b| a.* ^= b;
}

export fn aes(key: *const [16]u8, data: *[16]u8) void {
    const context = crypto.core.aes.Aes128.initEnc(key.*);
    context.encrypt(data, data);
}
