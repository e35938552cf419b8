# SPDX-License-Identifier: Apache-2.0
"""The bench on aarch64 under QEMU: the same runners, statically linked, on a bare ``virt`` machine.

``boot.S`` and ``system.c`` take the place of an operating system, so that QEMU's system emulation is measured (address
translation included, as on a device) with nothing else running in it. Time is the processor time of QEMU's process, or
the number of instructions executed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.engine import Place, build_runner
from bench.peers import Peer
from edge_engine.zig import ROOT, WARNINGS, Target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["BARE", "BARE_PEERS", "QEMU", "bare_command", "qemu_command"]

QEMU = "qemu-system-aarch64"
FOLDER = ROOT / "bench" / "bare"
BARE = Place(
    name="bare",
    target=Target("bare", "aarch64-linux-musl", ("-mcpu=cortex_a53",)),
    flags=("-DBENCH_BARE",),
    link_flags=("-static", "-Wl,--image-base=0x40200000,--entry=bare_start", "-s"),
    extra_sources=(FOLDER / "boot.S", FOLDER / "system.c"),
    extra_flags=(
        "-std=c17",
        "-O2",
        "-ffreestanding",
        "-mgeneral-regs-only",
        "-fno-sanitize=all",
        *WARNINGS,
    ),
)

BARE_PEERS = (
    Peer("c", "the same C compiled to native code", runner="native"),
    Peer("wasel", "wasel's interpreter", runner="wasel"),
    Peer("wasel-fuel", "wasel's interpreter, counting fuel", runner="wasel", options=("--fuel",)),
    Peer(
        "wasel-native",
        "wasel's native code",
        runner="wasel",
        options=("--native",),
        compiled=True,
        machine="aarch64",
    ),
    Peer(
        "wasel-native-fuel",
        "wasel's native code, counting fuel",
        runner="wasel",
        options=("--native", "--fuel"),
        compiled=True,
        fuel=True,
        machine="aarch64",
    ),
    Peer("wasm3", "wasm3 from pywasm3's sources, built as wasel is", runner="wasm3"),
)


def qemu_command(runner: Path, options: Sequence[str] = (), *, count_instructions: bool = False) -> Sequence[str]:
    """Argument list that runs a runner built for BARE in QEMU.

    With ``count_instructions`` the timer advances by one nanosecond for each instruction executed, so that the times
    answered are instruction counts. The console is QEMU's own stdin and stdout: with a chardev, reads would not wait.
    """
    words = "".join(f",arg={option}" for option in (runner.name, *options))
    return (
        *(QEMU, "-machine", "virt", "-cpu", "cortex-a53", "-m", "512M", "-display", "none", "-nodefaults"),
        *("-semihosting-config", f"enable=on,target=native{words}"),
        *(("-icount", "shift=0,sleep=off") if count_instructions else ()),
        *("-kernel", str(runner)),
    )


def bare_command(peer: Peer, *, count_instructions: bool = False) -> Sequence[str]:
    """Argument list that runs this peer's worker, after building it."""
    return qemu_command(build_runner(peer.runner, BARE), peer.options, count_instructions=count_instructions)
