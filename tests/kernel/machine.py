# SPDX-License-Identifier: Apache-2.0
"""Build a conformance system for one of three variants, run it under QEMU, return the lines of its UART.

Variants: ``own`` (our libmicrokit, stand-in kernel), ``sdk`` (the SDK's headers and libmicrokit, stand-in kernel) and
``sel4`` (the very ELF files of ``sdk`` on the SDK's genuine kernel).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

from edge_engine.zig import DEVICE, ROOT, compile_objects
from qemu.image import build_image
from qemu.system_file import parse_system
from sel4_bridge.libmicrokit import PD_FLAGS, SDK_BOARD, include_flags, link_pd

HERE = Path(__file__).resolve().parent
VARIANTS = ("own", "sdk", "sel4")
END = "-- end"  # a domain prints it when it has said all
TIMEOUT_S = 600.0  # real time; a run ends with END long before


def sdk() -> Path | None:
    value = os.environ.get("MICROKIT_SDK")
    return Path(value) if value else None


def build(system: str, variant: str) -> Path:
    """The bootable file of ``system`` (a file name of this folder)."""
    description = HERE / system
    folder = ROOT / "build" / "tests" / "kernel" / ("own" if variant == "own" else "sdk")
    kit = None if variant == "own" else sdk()
    for domain in parse_system(description).domains:
        source = HERE / "domains" / (Path(domain.program).stem + ".c")
        objects = compile_objects([source], folder, DEVICE, (*PD_FLAGS, *include_flags(kit)))
        link_pd(objects, folder / domain.program, kit)
    image = folder / f"{description.stem}.{variant}.bin"
    if variant != "sel4":
        build_image(description, folder, image)
        return image
    subprocess.run(
        [str(kit / "bin" / "microkit"), str(description), "--search-path", str(folder), "--board", SDK_BOARD,
         "--config", "release", "-o", str(image), "-r", str(image.with_suffix(".report"))],
        check=True, capture_output=True, timeout=TIMEOUT_S,
    )  # fmt: skip
    return image


def command(image: Path, variant: str) -> list[str]:
    qemu = shutil.which("qemu-system-aarch64")
    assert qemu is not None
    # Guest time counts instructions: what a busy host does to a run changes no line of it.
    common = [
        "-nodefaults",  # its network card would want a ROM file of another package
        "-cpu",
        "cortex-a53",
        "-icount",
        "shift=3,sleep=off",
        "-display",
        "none",
        "-monitor",
        "none",
        "-serial",
        "stdio",
    ]
    if variant == "sel4":
        loader = f"loader,file={image},addr=0x70000000,cpu-num=0"
        return [qemu, "-machine", "virt,virtualization=on", "-m", "2G", *common, "-device", loader]
    return [qemu, "-machine", "virt", "-m", "256M", *common, "-kernel", str(image)]


def run(image: Path, variant: str, end: str = END, timeout_s: float = TIMEOUT_S) -> list[str]:
    """Lines up to ``end`` (not included), or everything until the time is over."""
    return run_command(command(image, variant), end, timeout_s)


def run_command(arguments: list[str], end: str = END, timeout_s: float = TIMEOUT_S) -> list[str]:
    """The same for a command line of QEMU; ``end`` is a regular expression for the whole line."""
    with subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        late = threading.Timer(timeout_s, process.kill)
        late.start()
        try:
            lines = []
            for raw in process.stdout:
                line = raw.decode(errors="replace").rstrip("\r\n")
                if re.fullmatch(end, line):
                    break
                lines.append(line)
            else:
                lines.append(f"(no '{end}')")
            return lines
        finally:
            late.cancel()
            process.kill()
