# SPDX-License-Identifier: Apache-2.0
"""The builder of stand-in images: what it refuses and how it says so, and the layouts it shares with the kernel."""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING

import pytest

from edge_engine.zig import DEVICE, compile_objects
from qemu import image
from qemu.elf_file import ElfError, read_elf
from qemu.system_file import parse_system
from sel4_bridge.libmicrokit import LIBMICROKIT_INCLUDE, PD_FLAGS, include_flags, link_pd
from tests.kernel import machine

if TYPE_CHECKING:
    from pathlib import Path

HELLO = """<system>
  <memory_region name="uart" size="0x1_000" phys_addr="0x9000000"/>
  <memory_region name="big" size="0x200000"/>
  <protection_domain name="one" priority="10" budget="200" period="1000">
    <program_image path="one.elf"/>
    <map mr="uart" vaddr="0x2000000" perms="rw" cached="false" setvar_vaddr="uart_base"/>
    <irq irq="33" id="4" trigger="edge"/>
    <protection_domain name="two" id="7" priority="9" passive="true" stack_size="0x2000">
      <program_image path="one.elf"/>
      <map mr="big" vaddr="0x1000200000" perms="r"/>
    </protection_domain>
  </protection_domain>
  <channel><end pd="one" id="0" notify="false"/><end pd="two" id="3" pp="true"/></channel>
</system>
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    source = folder / "one.c"
    source.write_text(
        "#include <microkit.h>\n"
        "unsigned long uart_base; unsigned int sb_kernel_kind; char small;\n"
        "void init(void) { *(volatile unsigned long *)uart_base = sb_kernel_kind + (unsigned long)small; }\n"
        "void notified(microkit_channel ch) { (void)ch; }\n"
    )
    objects = compile_objects([source], folder / "o", DEVICE, (*PD_FLAGS, *include_flags()))
    link_pd(objects, folder / "one.elf")
    return folder


def build(programs: Path, tmp_path: Path, text: str, **options: int) -> image.ImageReport:
    system = tmp_path / "test.system"
    system.write_text(text)
    return image.build_image(system, programs, tmp_path / "image.bin", **options)


def test_description_is_read_as_the_tool_does(tmp_path: Path) -> None:
    path = tmp_path / "a.system"
    path.write_text(HELLO)
    system = parse_system(path)
    one, two = system.domains
    assert (one.priority, one.budget_us, one.period_us, one.parent, one.stack_size) == (10, 200, 1000, None, 4096)
    assert (two.parent, two.id, two.passive, two.budget_us, two.period_us, two.stack_size) == (
        0,
        7,
        True,
        1000,
        1000,
        8192,
    )
    assert one.interrupts[0].edge
    assert (system.channels[0].a.notify, system.channels[0].b.call) == (False, True)
    assert system.regions[0].size == 4096


def test_variables_are_filled_in(programs: Path, tmp_path: Path) -> None:
    build(programs, tmp_path, HELLO)
    system = parse_system(tmp_path / "test.system")
    elves = [read_elf(programs / "one.elf") for _ in system.domains]
    two = parse_system(tmp_path / "test.system").domains[1]
    assert not two.setvars
    image._patch(system, elves)  # noqa: SLF001 - what lands in the ELF is the contract with libmicrokit

    def word(elf: object, symbol: str, width: int = 8) -> int:
        address = elf.address(symbol)
        for segment in elf.segments:
            if segment.vaddr <= address < segment.vaddr + len(segment.data):
                at = address - segment.vaddr
                return int.from_bytes(segment.data[at : at + width], "little")
        raise AssertionError(symbol)

    assert [word(elf, "microkit_irqs") for elf in elves] == [1 << 4, 0]
    assert [word(elf, "microkit_notifications") for elf in elves] == [0, 1 << 3]
    assert [word(elf, "microkit_pps") for elf in elves] == [0, 1 << 3]
    assert [word(elf, "microkit_passive", 1) for elf in elves] == [0, 1]
    assert [word(elf, "uart_base") for elf in elves] == [0x2000000, 0]
    assert [word(elf, "sb_kernel_kind", 4) for elf in elves] == [1, 1]
    assert word(elves[1], "microkit_name", 3) == int.from_bytes(b"two", "little")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("</system>", "", "not well-formed"),
        ('perms="rw"', 'perms="rwx"', "test.system:6: map: perms may not be writable and executable at once"),
        ('perms="r"', 'perms="w"', "write-only mappings are not allowed"),
        ('perms="r"', 'perms="q"', "combination of 'r', 'w', and 'x'"),
        ('vaddr="0x1000200000"', 'vaddr="0x1000200800"', "vaddr of 'big' is not aligned"),
        ('vaddr="0x1000200000"', 'vaddr="0x10000000000"', "vaddr must be less than"),
        ('mr="big"', 'mr="nothing"', "unknown memory region 'nothing'"),
        ('size="0x200000"', 'size="0x200"', "multiple of the page size"),
        ('size="0x200000"', 'size="lots"', "size: not a number: 'lots'"),
        ('budget="200"', 'budget="2000"', "at most the period"),
        ('id="3" pp="true"', 'id="62"', "id must be at most 61"),
        ('id="0" notify="false"', 'id="4"', "duplicate channel id 4"),
        ('priority="9"', 'priority="10"', "strictly higher priorities"),
        ('priority="9"', 'priority="255"', "between 0 and 254"),
        ('irq="33"', 'irq="33" colour="red"', "invalid attribute 'colour'"),
        ('trigger="edge"', 'trigger="both"', "either 'level' or 'edge'"),
        ('passive="true"', 'passive="yes"', "passive must be 'true' or 'false'"),
        ('pd="two"', 'pd="three"', "invalid PD name 'three'"),
        ('name="two"', 'name="one"', "invalid PD name 'two'"),
        ("<channel>", '<memory_region name="big" size="0x1000"/><channel>', "duplicate memory region name 'big'"),
        ('irq="33"', 'irq="33" id="9"/><irq irq="33"', "duplicate irq '33'"),
        ('stack_size="0x2000"', 'smc="true"', "smc is not supported"),
        ("<program_image", "<virtual_machine/><program_image", "virtual machines are not supported"),
        ('size="0x200000"', 'size="0x200000" phys_addr="0x40000000"', "inside RAM is not supported"),
        ('size="0x200000"', 'size="0x20000000"', "MiB are there"),
        ('setvar_vaddr="uart_base"', 'setvar_vaddr="nowhere"', "no symbol named 'nowhere'"),
        ('setvar_vaddr="uart_base"', 'setvar_vaddr="small"', "'small' has 1 bytes, 8 are to be written"),
        ('path="one.elf"', 'path="none.elf"', "program image 'none.elf' not found"),
        ('vaddr="0x2000000"', 'vaddr="0x200000"', "overlap at 0x200000"),
        ("<channel>", "words <channel>", "between elements"),
    ],
)
def test_what_is_wrong_is_named(programs: Path, tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in HELLO
    text = HELLO.replace(old, new) if old.startswith("path") else HELLO.replace(old, new, 1)
    with pytest.raises(image.ImageError, match=re.escape(message)):
        build(programs, tmp_path, text)
    assert not (tmp_path / "image.bin").exists()


def test_a_program_for_another_machine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.elf"
    path.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))
    with pytest.raises(ElfError, match="not a little-endian AArch64 executable"):
        read_elf(path)


@pytest.mark.parametrize("cut", [0, 10, 63, 100, 200])
def test_a_cut_program_is_refused(programs: Path, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.elf"
    path.write_bytes((programs / "one.elf").read_bytes()[:cut])
    with pytest.raises(ElfError):
        read_elf(path)


def test_the_image_is_small_and_holds_equal_bytes_once(programs: Path, tmp_path: Path) -> None:
    report = build(programs, tmp_path, HELLO)
    data = (tmp_path / "image.bin").read_bytes()
    text = bytes(read_elf(programs / "one.elf").segments[0].data).rstrip(b"\0")
    assert len(data) == report.size < 64 << 10
    assert data.count(text) == 1
    assert data[56:60] == b"ARM\x64"
    assert "two: priority 9" in report.text()


def test_tables_are_as_long_as_the_kernel_reads_them(tmp_path: Path) -> None:
    source = tmp_path / "check.c"
    checks = "".join(f'_Static_assert(sizeof(struct {n}) == {s}, "{n}");\n' for n, s in image.BOOT_SIZES.items())
    source.write_text(
        f'#include "boot.h"\n{checks}_Static_assert(BOOT_VERSION == {image.VERSION}u, "version");\n'
        f'_Static_assert(BOOT_MAGIC == {image.MAGIC:#x}, "magic");\n'
    )
    compile_objects([source], tmp_path, DEVICE, ("-std=c17", "-Werror", "-I", str(image.KERNEL_FOLDER)))
    rows = image._Tables([bytes(16)], [bytes(144)] * 2, [], [bytes(48)], [(0, 8, 5)], [], [])  # noqa: SLF001
    data = rows.bytes(b"0123456789", 1 << 20)
    assert struct.unpack_from("<3Q", data) == (image.MAGIC, image.VERSION, len(data))
    pieces, count = struct.unpack_from("<2Q", data, 40 + 4 * 16)
    at, start, size = struct.unpack_from("<3Q", data, pieces)
    assert (count, at, size, data[start - 8 :]) == (1, 0, 5, b"0123456789")


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"", []),
        (bytes(500), []),
        (b"a", [(0, b"a")]),
        (bytes(64) + b"ab", [(64, b"ab")]),
        (b"x" * 64 + bytes(64) + b"y" * 70, [(0, b"x" * 64), (128, b"y" * 70)]),
    ],
)
def test_runs_of_zero_are_not_stored(data: bytes, pieces: list[tuple[int, bytes]]) -> None:
    assert image._pieces(data) == pieces  # noqa: SLF001


@pytest.mark.skipif(machine.sdk() is None, reason="MICROKIT_SDK does not name an unpacked Microkit SDK")
def test_our_numbers_are_the_sdks(tmp_path: Path) -> None:
    """Every constant of our sel4/constants.h, and the layouts of types.h, against the SDK's headers."""
    ours = (LIBMICROKIT_INCLUDE / "sel4" / "constants.h").read_text()
    names, value = [], -1
    for line in ours.splitlines():
        if re.match(r"\s*(typedef )?enum", line):
            value = -1
        match = re.match(r"\s+(\w+)(?: = (-?\d+|\w+))?,", line)
        if match:
            name, text = match.groups()
            if text is None:
                value += 1
            else:
                value = int(text) if re.fullmatch(r"-?\d+", text) else dict(names)[text]
            names.append((name, value))
    assert len(names) > 50
    source = tmp_path / "check.c"
    checks = "".join(f'_Static_assert((long){name} == {value}, "{name}");\n' for name, value in names)
    source.write_text(
        f"#include <microkit.h>\n#include <stddef.h>\n{checks}"
        '_Static_assert(sizeof(seL4_IPCBuffer) == 1024 && offsetof(seL4_IPCBuffer, msg) == 8, "buffer");\n'
        '_Static_assert(sizeof(seL4_UserContext) == 288 && offsetof(seL4_UserContext, x9) == 136, "context");\n'
        '_Static_assert(offsetof(seL4_UserContext, tpidr_el0) == 272, "context");\n'
        '_Static_assert(BASE_TCB_CAP == 202 && BASE_IRQ_CAP == 138 && BASE_ENDPOINT_CAP == 74, "caps");\n'
    )
    compile_objects([source], tmp_path, DEVICE, (*PD_FLAGS, *include_flags(machine.sdk())))
    compile_objects([source], tmp_path / "own", DEVICE, (*PD_FLAGS, *include_flags()))
