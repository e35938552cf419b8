# SPDX-License-Identifier: Apache-2.0
"""Native code on its way to the region that its engine executes: what is checked, what is cleaned, what is said."""

from __future__ import annotations

import random
import struct
from typing import TYPE_CHECKING, Any

import pytest

from edge_engine.aot.section import NativeCode, add_section, core_digest
from sel4_bridge.system import CODE_SIZE
from tests.supervisor.device import STATE_EXITED, STATE_RUNNING, WRITE
from tests.system import modules as m

if TYPE_CHECKING:
    from tests.supervisor.device import Device

INTERPRETER, NATIVE = 1, 2
CODE = bytes(range(1, 200))
MODULE = m.module(b"")
MALFORMED = "its native code is malformed"
OTHER = "its native code was made for another engine or machine"


def with_code(code: bytes = CODE, module: bytes = MODULE, target: str = "aarch64") -> bytes:
    return add_section(module, NativeCode(target, 1, False, ((0, 4),), code))


def region(device: Device, slot: int = 0) -> bytes:
    return device.command("x", bytes([slot]))


def started(device: Device, module: bytes, *, tier: int = NATIVE, tier_text: bytes = b"") -> dict[str, Any]:
    device.upload(module)
    device.request(WRITE, 64, 2, {"slot": 0})
    assert device.request(WRITE, 64, 1, {"slot": 0}) == {"starts": device.slot()["starts"]}
    device.engine_says(STATE_RUNNING, tier=tier, tier_text=tier_text)
    return device.slot()


def test_code_is_placed_published_and_cleaned(device: Device) -> None:
    assert started(device, with_code())["tier"] == "native"
    assert region(device)[: len(CODE)] == CODE
    assert not any(region(device)[len(CODE) :])
    assert device.events().count("publish 0") == 1
    started(device, with_code(b"short"))
    assert region(device)[:5] == b"short"
    assert not any(region(device)[5:])
    slot = started(device, MODULE)
    assert not any(region(device))
    assert device.events().count("publish 0") == 2
    assert slot["tier"] == "interpreter"  # without code an engine that claims to run some is not believed
    assert "tier_note" not in slot
    assert not any(region(device, 1))


def test_the_same_module_finds_its_code_in_place(device: Device) -> None:
    started(device, with_code())
    device.engine_says(STATE_EXITED, tier=NATIVE)
    device.events()
    device.request(WRITE, 64, 1, {"slot": 0})
    assert "publish 0" not in device.events()
    assert device.slot()["state"] == "running"
    assert "tier" not in device.slot()  # not known yet
    assert region(device)[: len(CODE)] == CODE


def test_the_engine_says_what_it_does_not_use(device: Device) -> None:
    slot = started(device, with_code(), tier=INTERPRETER, tier_text=b"native code does not count fuel\x07")
    assert (slot["tier"], slot["tier_note"]) == ("interpreter", "native code does not count fuel?")


@pytest.mark.parametrize(
    ("offset", "layout", "value", "note"),
    [
        (0, "<I", 1, MALFORMED),
        (4, "<H", 2, OTHER),
        (6, "<H", 1, OTHER),
        (16, "<I", 0xFFFFFFFF, MALFORMED),
        (16, "<I", 1 << 29, MALFORMED),
        (20, "<I", 63, MALFORMED),
        (20, "<I", 0xFFFFFFFF, MALFORMED),
        (24, "<I", 0xFFFFFFFF, MALFORMED),
        (28, "<I", 0, MALFORMED),
        (28, "<I", len(CODE) + 1, MALFORMED),
        (32, "<B", 0x55, "its native code was made for another module"),
    ],
)
def test_sections_that_are_wrong_are_refused_by_name(
    device: Device, offset: int, layout: str, value: int, note: str
) -> None:
    changed = bytearray(with_code())
    begin = changed.index(b"WNAT")
    assert begin + offset < len(changed)
    struct.pack_into(layout, changed, begin + offset, value)
    slot = started(device, bytes(changed), tier=INTERPRETER)
    assert (slot["tier"], slot["tier_note"]) == ("interpreter", note)
    assert not any(region(device))


def test_code_for_another_machine_is_no_code(device: Device) -> None:
    slot = started(device, with_code(target="x86_64"), tier=INTERPRETER)
    assert slot["tier"] == "interpreter"
    assert "tier_note" not in slot


def test_the_largest_code_fits_and_no_larger_one(device: Device) -> None:
    full = b"\x55" * CODE_SIZE
    assert started(device, with_code(full))["tier"] == "native"
    assert region(device) == full
    device.request(WRITE, 64, 2, {"slot": 0})
    assert device.request(WRITE, 1, 5, {"slot": 0}) == {}  # no room for both
    slot = started(device, with_code(full + b"\x55"), tier=INTERPRETER)
    assert (slot["tier"], slot["tier_note"]) == ("interpreter", "its native code does not fit")
    assert not any(region(device))


def test_other_custom_sections_may_change(device: Device) -> None:
    data = with_code()
    more = data + b"\0\x05\x04name"
    assert core_digest(more) == core_digest(data) == core_digest(MODULE)
    assert started(device, more)["tier"] == "native"


def test_garbage_behind_the_magic_is_survived(device: Device) -> None:
    """Whatever stands in a section, the supervisor goes on; what it places was in the section."""
    source = random.Random(1)
    placed = 0
    for _ in range(300):
        changed = bytearray(with_code())
        begin = changed.index(b"WNAT")
        for _ in range(source.randrange(1, 4)):
            at = begin + source.randrange(4, 32)
            changed[at] = source.choice((0, 1, 4, 64, 72, 127, 128, 255, changed[at] ^ 1 << source.randrange(8)))
        started(device, bytes(changed), tier=NATIVE)
        code = region(device).rstrip(b"\0")
        placed += bool(code)
        assert code in bytes(changed)
    assert 20 < placed < 280
