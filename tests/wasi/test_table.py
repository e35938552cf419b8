# SPDX-License-Identifier: Apache-2.0
"""The table, what is generated from it, and that the committed page is what it generates."""

from __future__ import annotations

import pytest

from sel4_bridge import generate
from sel4_bridge.wasi_table import CALLS, ERRNOS, LABEL_BASE, RIGHTS, Arg, Call, Kind, label

# Labels are what a device and a tracer agree on: a row is appended, never moved.
LABELS = {"args_get": 0x100, "fd_write": 0x11A, "path_open": 0x11F, "proc_exit": 0x126, "sock_shutdown": 0x12D}
NUMBERS = {"success": 0, "badf": 8, "fault": 21, "inval": 28, "noent": 44, "nosys": 52, "spipe": 70, "notcapable": 76}


def test_all_calls_of_preview1_are_there():
    assert sum(not call.extension for call in CALLS) == 46
    assert len({call.name for call in CALLS}) == len(CALLS)


@pytest.mark.parametrize(("name", "number"), LABELS.items())
def test_labels_stay(name, number):
    assert label(name) == number


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_error_numbers(name, number):
    assert ERRNOS.index(name) == number


def test_rights():
    assert RIGHTS.index("fd_write") == 6
    assert RIGHTS.index("poll_fd_readwrite") == 27


def test_signatures():
    signatures = {call.name: call.signature for call in CALLS}
    assert signatures["fd_write"] == "iiii:i"
    assert signatures["path_open"] == "iiiiiIIii:i"
    assert signatures["fd_seek"] == "iIii:i"
    assert signatures["poll_oneoff"] == "iiii:i"
    assert signatures["proc_exit"] == "i:"


def test_the_committed_page_is_the_generated_one():
    assert generate.REFERENCE_PAGE.read_text(encoding="utf-8") == generate.reference_page()


def test_every_label_is_in_the_page():
    page = generate.reference_page()
    assert all(f"| 0x{LABEL_BASE + row:x} | `{call.name}` |" in page for row, call in enumerate(CALLS))


@pytest.mark.parametrize(
    "args",
    [
        (Arg("a", Kind.U32), Arg("a", Kind.U32)),
        (Arg("a", Kind.BUFFER), Arg("b", Kind.OUT_STRUCT, 8)),
        (Arg("a", Kind.OUT_STRUCT),),
        (Arg("a", Kind.IN_ARRAY, 8, "b"), Arg("b", Kind.U32)),
        tuple(Arg(f"a{i}", Kind.OUT_U32) for i in range(6)),
        tuple(Arg(f"a{i}", Kind.U32) for i in range(17)),
    ],
)
def test_rows_that_the_wire_cannot_carry_are_refused(args):
    with pytest.raises(generate.TableError, match="wrong"):
        generate.check_row(Call("wrong", "a row that cannot be", args))
