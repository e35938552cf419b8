// SPDX-License-Identifier: Apache-2.0
//! Corpus: Zig's elliptic curves: field arithmetic in 64-bit and 128-bit integers.
const std = @import("std");
const crypto = std.crypto;

export fn exchange(secret: *const [32]u8, public: *const [32]u8, out: *[32]u8) bool {
    out.* = crypto.dh.X25519.scalarmult(secret.*, public.*) catch return false;
    return true;
}

export fn multiply(scalar: *const [32]u8, out: *[32]u8) bool {
    const point = crypto.ecc.P256.basePoint.mul(scalar.*, .big) catch return false;
    out.* = point.affineCoordinates().x.toBytes(.big);
    return true;
}
