# SPDX-License-Identifier: Apache-2.0
"""The ELF files of the device: no segment is both writable and executable."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from qemu.elf_file import read_elf
from qemu.image import stack_and_buffer
from qemu.system_file import USER_TOP
from sel4_bridge.build import build_device
from sel4_bridge.libmicrokit import IPC_BUFFER_SYMBOL, SDK_BOARD, sdk_ipc_buffer

if TYPE_CHECKING:
    from pathlib import Path

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


def test_the_engine_cannot_write_what_its_ipc_buffers_address_is_restored_from() -> None:
    engine = read_elf(build_device("standin").elves["engine"])
    at = engine.address("sb_ipc_buffer")
    segment = next(each for each in engine.segments if each.vaddr <= at < each.vaddr + len(each.data))
    assert not segment.writable
    (value,) = struct.unpack_from("<Q", segment.data, at - segment.vaddr)
    assert value == engine.address(IPC_BUFFER_SYMBOL)


@pytest.mark.parametrize(
    ("archive", "wanted"),
    [
        (b"!<arch>\n" + IPC_BUFFER_SYMBOL.encode(), f"&{IPC_BUFFER_SYMBOL}"),  # Microkit 2.0 to 2.2
        (b"!<arch>\n__sel4_ipc_buffer\0", "(seL4_IPCBuffer *)(seL4_UserVSpaceTop & ~0xffful)"),  # since 2.3
    ],
)
def test_the_ipc_buffers_place_is_that_of_the_sdks_libmicrokit(archive: bytes, wanted: str, tmp_path: Path) -> None:
    library = tmp_path / "board" / SDK_BOARD / "release" / "lib" / "libmicrokit.a"
    library.parent.mkdir(parents=True)
    library.write_bytes(archive)
    assert sdk_ipc_buffer(tmp_path) == wanted


def test_the_stand_in_puts_the_buffer_where_the_program_looks() -> None:
    elf = read_elf(build_device("standin").elves["uart"])
    assert stack_and_buffer(elf) == (USER_TOP, elf.address(IPC_BUFFER_SYMBOL))
    del elf.symbols[IPC_BUFFER_SYMBOL]
    assert stack_and_buffer(elf) == (USER_TOP - 0x2000, USER_TOP - 0x1000)
