# SPDX-License-Identifier: Apache-2.0
"""The ELF files of the device: no segment is both writable and executable."""

from __future__ import annotations

import struct

from sel4_bridge.build import build_device

PT_LOAD, EXECUTE, WRITE = 1, 1, 2


def test_no_segment_is_writable_and_executable() -> None:
    elves = build_device("standin").elves
    assert {"engine", "wasi", "supervisor"} <= set(elves)
    for name, path in elves.items():
        data = path.read_bytes()
        (table,) = struct.unpack_from("<Q", data, 0x20)
        size, count = struct.unpack_from("<HH", data, 0x36)
        flags = [
            flags
            for kind, flags in (struct.unpack_from("<II", data, table + i * size) for i in range(count))
            if kind == PT_LOAD
        ]
        assert any(each & EXECUTE for each in flags), name
        assert any(each & WRITE for each in flags), name
        assert all(each & (EXECUTE | WRITE) != EXECUTE | WRITE for each in flags), name
