// SPDX-License-Identifier: Apache-2.0
//! SHA-256 for C code (sha256.h), from Zig's standard library: it uses the CPU's SHA-2 instructions where the target
//! has them. Contract: `state` is the memory of a struct sb_sha256; init, any number of updates, one final.
const std = @import("std");
const Sha256 = std.crypto.hash.sha2.Sha256;

const State = extern struct { bytes: [128]u8 align(16) };

comptime {
    if (@sizeOf(Sha256) > @sizeOf(State) or @alignOf(Sha256) > 16) @compileError("struct sb_sha256 is too small");
}

fn hasher(state: *State) *Sha256 {
    return @ptrCast(state);
}

export fn sb_sha256_init(state: *State) void {
    hasher(state).* = Sha256.init(.{});
}

export fn sb_sha256_update(state: *State, data: [*]const u8, size: usize) void {
    hasher(state).update(data[0..size]);
}

export fn sb_sha256_final(state: *State, digest: *[32]u8) void {
    hasher(state).final(digest);
}
