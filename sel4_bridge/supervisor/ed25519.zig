// SPDX-License-Identifier: Apache-2.0
//! Ed25519 signature checks for C code (ed25519.h), from Zig's standard library. Strict: canonical encodings only and no
//! cofactor (RFC 8032 section 5.1.7), so that a signature has one form. Contract: `state` is the memory of a
//! struct sb_ed25519; begin, any number of updates, one finish.
const std = @import("std");
const Ed25519 = std.crypto.sign.Ed25519;

const State = extern struct { bytes: [768]u8 align(16) };

comptime {
    if (@sizeOf(Ed25519.Verifier) > @sizeOf(State) or @alignOf(Ed25519.Verifier) > 16) @compileError("struct sb_ed25519 is too small");
}

fn verifier(state: *State) *Ed25519.Verifier {
    return @ptrCast(state);
}

export fn sb_ed25519_begin(state: *State, key: *const [32]u8, signature: *const [64]u8) bool {
    const public = Ed25519.PublicKey.fromBytes(key.*) catch return false;
    verifier(state).* = Ed25519.Signature.fromBytes(signature.*).verifier(public) catch return false;
    return true;
}

export fn sb_ed25519_update(state: *State, data: [*]const u8, size: usize) void {
    verifier(state).update(data[0..size]);
}

export fn sb_ed25519_finish(state: *State) bool {
    verifier(state).verifyStrict() catch return false;
    return true;
}
