# SPDX-License-Identifier: Apache-2.0
"""Modules, and systems of one probe domain, for the tests of the simulator."""

import subprocess
from pathlib import Path

import pytest

from qemu.simulator_build import SimulatorBuild, build_simulator
from sel4_bridge.system import Map, ProtectionDomain, Region, System
from tests.system.modules import compile_c

DOMAINS = Path(__file__).parent / "domains"
VADDR = 0x1000_0000
RUN_TIMEOUT_S = 600

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void say_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("%lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned char random[8];
    getentropy(random, sizeof random);
    for (int i = 0; i < 8; i++) printf("%02x", random[i]);
    printf("\n");
    for (const char *step = argc > 1 ? argv[1] : ""; *step; step++) {
        if (*step == 's') nanosleep(&(struct timespec){.tv_sec = 2}, NULL);
        if (*step == 'c') say_time();
        if (*step == 'u') __builtin_trap();
        if (*step == 'o') *(volatile char *)0x7fff0000 = 1;
        if (*step == 'l') for (;;) __asm__ volatile("");
        if (*step == 'b') for (volatile int i = 0; i < 300000000; i++) ;
        if (*step == 'e') exit(random[0]);
    }
    return 0;
}
"""


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module whose first argument says what it does, letter by letter."""
    path = tmp_path_factory.mktemp("program") / "program.wasm"
    path.write_bytes(compile_c(PROGRAM))
    return path


def build_probe(
    source: str, region: Region, perms: str, symbol: str, *, flags: str = "", sanitize: bool = False
) -> SimulatorBuild:
    """Build a simulator whose system is one domain with one region."""
    name = f"simulator-{Path(source).stem}{flags}"
    original = (DOMAINS / source).read_text(encoding="utf-8")
    path = Path(__file__).resolve().parents[2] / "build" / "tests" / f"{name}.c"
    path.parent.mkdir(parents=True, exist_ok=True)
    define = f"#define BAD {flags}\n" if flags else ""
    path.write_text(define + original, encoding="utf-8")
    domain = ProtectionDomain("probe", "probe.elf", 100, maps=(Map(region, VADDR, perms, symbol),))
    return build_simulator(name=name, system=System((domain,), ()), sources={"probe": (path,)}, sanitize=sanitize)


def run_probe(built: SimulatorBuild, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end; nothing comes from outside."""
    command = [str(built.program), "--domains", str(built.domains), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S)
