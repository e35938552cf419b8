# SPDX-License-Identifier: Apache-2.0
"""Fuzz what reads bytes of others: ``python -m tests.fuzz [--seconds N] [--jobs N] [--target NAME]...``

One after the other, with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer: the engine's `check` (decode
and validate any bytes) and `run` (load, start and call any bytes), the supervisor's `link` (bytes from the line, SMP
messages, cells) and `file` (module files, manifests, signatures, root documents, compressed uploads). Then, beside
wasmtime, `differential` (generated modules) and `indices` (modules with wrong numbers). Findings lie in
build/fuzz/findings, and the exit code is 1; what libFuzzer learns stays in build/fuzz, and the next run goes on from
it. ``--folder`` keeps all of it elsewhere.

The code is compiled by the compiler that compiles it for devices; libFuzzer and the sanitizers' run time come from
Debian's clang, which ``make fuzz`` installs.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_engine.build import SANITIZE_FLAGS
from edge_engine.sources import ENGINE_FLAGS, ENGINE_SOURCES, HOST_GUARD_SOURCES, HOST_INSPECT_SOURCES
from edge_engine.zig import HOST, ROOT, compile_objects
from sel4_bridge.build import CRYPTO_SOURCES, SUPERVISOR_SOURCES, compile_zig, write_sources
from tests.fuzz.device_seeds import file_seeds, link_seeds
from tests.fuzz.modules import generate
from tests.supervisor.device import FLAGS as DEVICE_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TARGETS", "build", "missing_tools", "write_seeds"]

ENGINE_TARGETS = ("check", "run")
DEVICE_TARGETS = {"link": link_seeds, "file": file_seeds}
TARGETS = (*ENGINE_TARGETS, *DEVICE_TARGETS)
PEERED = ("differential", "indices")
HERE = Path(__file__).parent
OPTIONS = "detect_leaks=0:allow_user_segv_handler=1:use_sigaltstack=0"
COVERAGE = "-fsanitize-coverage=inline-8bit-counters,pc-table,trace-cmp"
GENERATED_SEEDS = 300
LONGEST = 8192  # bytes of input
SLOWEST_S = 10  # an input that takes longer is a finding
GRACE_S = 600
INTERRUPTED = 72  # libFuzzer's exit code after a signal from outside


def missing_tools() -> str | None:
    """Why the targets can't be built here, or None."""
    if shutil.which("clang") is None:
        return "clang is not installed (Debian: apt-get install clang libclang-rt-14-dev)"
    found = subprocess.run(
        ["clang", "-print-file-name=libclang_rt.fuzzer-x86_64.a"], capture_output=True, text=True, check=True
    )
    if not Path(found.stdout.strip()).is_absolute():
        return "libFuzzer is not installed (Debian: apt-get install libclang-rt-14-dev)"
    return None


def _engine_objects(target: str, out: Path) -> list[Path]:
    flags = [flag for flag in ENGINE_FLAGS if flag not in {"-fno-sanitize=all", "-ffreestanding"}]
    flags += [*SANITIZE_FLAGS, COVERAGE, "-DEE_HANDLERS_APART"]  # coverage gives every function its own section
    sources = [*ENGINE_SOURCES, *HOST_GUARD_SOURCES, *HOST_INSPECT_SOURCES, HERE / f"{target}.c"]
    return compile_objects(sources, out / "objects", HOST, flags)


def _device_objects(target: str, out: Path) -> list[Path]:
    write_sources()
    flags = [*DEVICE_FLAGS, *SANITIZE_FLAGS, COVERAGE]
    objects = compile_objects([*SUPERVISOR_SOURCES, HERE / f"{target}.c"], out / "device", HOST, flags)
    folder = out / "device"
    return objects + [
        compile_zig(source, folder / f"{source.stem}.o", HOST, "build-obj", ("-fPIC",)) for source in CRYPTO_SOURCES
    ]


def build(target: str, out: Path) -> Path:
    """Build a target's program; ToolError or CalledProcessError carry the tools' words."""
    objects = _device_objects(target, out) if target in DEVICE_TARGETS else _engine_objects(target, out)
    program = out / f"fuzz-{target}"
    command = ["clang", "-fsanitize=fuzzer,address,undefined", *map(str, objects), "-o", str(program)]
    subprocess.run(command, check=True, timeout=300)
    return program


def _modules() -> Iterator[bytes]:
    """Valid modules: those of the tree, and generated ones."""
    for file in (HERE / "corpus").glob("*.wasm"):
        yield file.read_bytes()
    for seed in range(GENERATED_SEEDS):
        yield generate(seed)


def write_seeds(target: str, folder: Path) -> None:
    """Put what a fuzzer begins with into a folder, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(DEVICE_TARGETS.get(target, _modules)()):
        (folder / f"seed-{number}").write_bytes(data)


def _fuzz(target: str, out: Path, seconds: int, jobs: int) -> int:
    """Run libFuzzer; executions, or -1 if there is a finding."""
    program = build(target, out)
    seeds, learned, findings = out / f"seeds-{target}", out / f"learned-{target}", out / "findings"
    write_seeds(target, seeds)
    for folder in (learned, findings):
        folder.mkdir(parents=True, exist_ok=True)
    command = [str(program), f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-timeout={SLOWEST_S}"]
    command += ["-print_final_stats=1", f"-artifact_prefix={findings}/{target}-", str(learned), str(seeds)]
    environment = {**os.environ, "ASAN_OPTIONS": OPTIONS}
    running = []
    for job in range(jobs):
        log = (out / f"{target}-{job}.log").open("w")
        running.append((subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=out), log))
    total = 0
    failed = False
    for job, (process, log) in enumerate(running):
        code = process.wait(seconds + GRACE_S)
        if code == INTERRUPTED:
            print(f"{target}: interrupted before its time", flush=True)
        failed |= code not in {0, INTERRUPTED}
        log.close()
        found = re.findall(r"stat::number_of_executed_units:\s*(\d+)", (out / f"{target}-{job}.log").read_text())
        total += int(found[-1]) if found else 0
    print(f"{target}: {total} executions in {seconds} s on {jobs} processes", flush=True)
    if failed:
        print(f"{target}: a finding: see {findings} and {out}/{target}-*.log", flush=True)
    return -1 if failed else total


def main() -> int:
    """Entry point of ``python -m tests.fuzz``."""
    parser = argparse.ArgumentParser(description="Fuzz what reads bytes of others")
    parser.add_argument("--seconds", type=int, default=600, help="per target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes of libFuzzer")
    parser.add_argument("--target", action="append", choices=[*TARGETS, *PEERED], help="only these")
    parser.add_argument("--first", type=int, default=0, help="first seed of the runs beside wasmtime")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "fuzz", help="for everything it writes")
    chosen = parser.parse_args()
    wanted = chosen.target or [*TARGETS, *PEERED]
    out = chosen.folder.resolve()
    out.mkdir(parents=True, exist_ok=True)
    failed = False
    problem = missing_tools()
    for target in TARGETS:
        if target not in wanted:
            continue
        if problem:
            print(f"{target}: not run: {problem}", file=sys.stderr)
            failed = True
            continue
        failed |= _fuzz(target, out, chosen.seconds, chosen.jobs) < 0
    for name in PEERED:
        if name not in wanted:
            continue
        words = [sys.executable, "-m", f"tests.fuzz.{name}", "--seconds", str(chosen.seconds)]
        done = subprocess.run([*words, "--first", str(chosen.first)], check=False, cwd=ROOT)
        failed |= done.returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
