# SPDX-License-Identifier: Apache-2.0
"""Each call, each pointer of it, each awkward address: an errno every time, EFAULT exactly where memory ends.

Invariant: the expected answer follows from the table alone. A pointer to n > 0 bytes is good iff address + n <= size of
memory (64-bit); one bad pointer makes the call EFAULT before anything is sent. The module compares and exits with the
number of the first case that went wrong.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

import pytest

from sel4_bridge.wasi_table import CALLS, ERRNOS, Kind

EFAULT, EINVAL = ERRNOS.index("fault"), ERRNOS.index("inval")
END = 65536  # one page
GOOD = 1024  # an address where there is room for everything
VECTORS = 512  # an iovec (GOOD, 16) lies here
COUNTS = (0, 1, 1024, 2**28, 2**29 + 1, 2**32 - 1)
SINGLE = {Kind.OUT_U32: 4, Kind.OUT_U64: 8}
LENGTH = 16
ARGUMENTS = ("name", "argument")
ENVIRONMENT = ("K=12", "L=345678")  # as many strings and bytes as the arguments
STRINGS_SIZE = 14
ENVIRONMENT_OPTIONS = [word for entry in ENVIRONMENT for word in ("--env", entry)]


@dataclass(frozen=True)
class Case:
    args: tuple[int, ...]
    faults: bool | None  # None: any errno will do


def addresses(size):
    return (0, END - size, END - size + 1, END - 1, END, 2**31, 2**32 - 1)


def good_values(call):
    values = []
    for arg in call.args:
        match arg.kind:
            case Kind.PATH | Kind.BUFFER | Kind.FILL:
                values += [GOOD, LENGTH]
            case Kind.GATHER | Kind.SCATTER:
                values += [VECTORS, 1]
            case Kind.ADDRESS | Kind.OUT_ADDRESS:
                values.append(VECTORS)  # 16 bytes are an address, too
            case Kind.STRINGS:
                values += [GOOD, GOOD + 512]
            case Kind.COUNT:
                values.append(1)
            case Kind.U32 | Kind.U64:
                values.append(0)
            case Kind.FD:
                values.append(1)
            case _:
                values.append(GOOD)
    return values


def cases_of(call):  # noqa: C901 - a case a kind
    good = good_values(call)
    at = 0
    for arg in call.args:

        def change(*new, start=at):
            return tuple(good[:start] + list(new) + good[start + len(new) :])

        match arg.kind:
            case Kind.PATH | Kind.BUFFER | Kind.FILL:
                yield from (Case(change(a, LENGTH), a + LENGTH > END) for a in addresses(LENGTH))
                yield from (Case(change(GOOD, n), GOOD + n > END) for n in COUNTS)
                yield Case(change(END, 0), None)
            case Kind.GATHER | Kind.SCATTER:
                yield from (Case(change(a, 1), a + 8 > END or None) for a in addresses(8))
                for n in COUNTS:
                    yield Case(change(VECTORS, n), False if n <= 1 else None)
            case Kind.ADDRESS | Kind.OUT_ADDRESS:
                yield from (Case(change(a), a + 8 > END or None) for a in addresses(8))
            case Kind.STRINGS:
                yield from (Case(change(a, GOOD), a + 8 > END) for a in addresses(8))
                yield from (Case(change(GOOD, a), a + STRINGS_SIZE > END) for a in addresses(STRINGS_SIZE))
            case Kind.IN_ARRAY | Kind.OUT_ARRAY:
                yield from (Case(change(a), a + arg.size > END) for a in addresses(arg.size))
            case Kind.COUNT:
                yield from (Case(change(n), None) for n in COUNTS)
            case Kind.OUT_U32 | Kind.OUT_U64 | Kind.OUT_STRUCT:
                size = SINGLE.get(arg.kind, arg.size)
                yield from (Case(change(a), a + size > END) for a in addresses(size))
        at += len(arg.kind.params)


def number(value, letter):
    return f"({'i64' if letter == 'I' else 'i32'}.const {value})"


def module_text(call, cases):
    params = " ".join("i64" if letter == "I" else "i32" for letter in call.signature.partition(":")[0])
    lines = []
    for index, case in enumerate(cases, start=1):
        values = " ".join(number(value, letter) for value, letter in zip(case.args, call.signature, strict=False))
        # Whatever a case has written, the next one finds the iovec and the subscription again.
        lines.append("(call $prepare)")
        lines.append(f"(local.set $errno (call $it {values}))")
        lines.append(
            f"(if (i32.gt_u (local.get $errno) (i32.const {len(ERRNOS) - 1})) (then (call $exit (i32.const {index}))))"
        )
        if case.faults is not None:
            wrong = "i32.ne" if case.faults else "i32.eq"
            lines.append(
                f"(if ({wrong} (local.get $errno) (i32.const {EFAULT})) (then (call $exit (i32.const {index}))))"
            )
    body = "\n    ".join(lines)
    return f"""(module
  (import "wasi_snapshot_preview1" "{call.name}" (func $it {f"(param {params})" if params else ""} (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $prepare
    (memory.fill (i32.const 0) (i32.const 0) (i32.const 4096))
    (i32.store (i32.const {VECTORS}) (i32.const {GOOD}))
    (i32.store (i32.const {VECTORS + 4}) (i32.const {LENGTH})))
  (func (export "_start") (local $errno i32)
    {body}))
"""


WITH_POINTERS = [call for call in CALLS if call.returns and any(cases_of(call))]


@pytest.mark.parametrize("call", WITH_POINTERS, ids=lambda call: call.name)
def test_every_pointer(call, wat, sanitized_runner):
    cases = list(cases_of(call))
    assert len(cases) < 256
    module = wat(module_text(call, cases))
    done = subprocess.run(
        [str(sanitized_runner), "--arena", str(1 << 20), *ENVIRONMENT_OPTIONS, str(module), "--", *ARGUMENTS],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{cases[done.returncode - 1]} of {len(cases)}: {done.stderr.decode()}"
