# SPDX-License-Identifier: Apache-2.0
"""The real image under QEMU, over its UART: one story a test, on every kernel that is here."""

import hashlib
import random

import pytest

from agent.link.device import Device as Link
from qemu.boards import BOARDS
from qemu.launcher import Device
from tests.system import modules as m
from tests.system.conftest import Target, install, run_module, wait_for_output

pytestmark = pytest.mark.system
HELLO = m.ROOT / "examples" / "hello" / "hello.c"
ENDLESS = m.module(m.LOOP_FOR_EVER)
TICKER = """
#include <stdio.h>
#include <unistd.h>
int main(void) { for (unsigned n = 0;; n++) { printf("tick %u\\n", n); fflush(stdout); usleep(20000); } }
"""


def hello(version: int) -> bytes:
    return m.compile_c(HELLO, f"-DVERSION={version}")


async def test_it_boots_and_says_which_kernel_it_is(device: Device, link: Link, target: Target) -> None:
    assert device.record.ready_ms is not None
    assert await link.echo("are you there?") == "are you there?"
    status = await link.status()
    assert status.kernel == {"standin": "stand-in", "sel4": "sel4"}[target.kernel]
    assert status.board == BOARDS[0].name
    assert status.boot_ms > 0
    assert len(status.slots) >= 2


async def test_hello_in_c_with_arguments_and_environment(link: Link) -> None:
    ended = await run_module(link, 0, hello(1), ("hello", "one", "two words"), (("WHO", "slot 0"),))
    assert ended.stdout == (
        b"hello, slot 0: this is version 1\nargument 1: one\nargument 2: two words\nthere are 168 primes below 1000\n"
    )
    assert ended.stderr == b""
    assert (ended.status.state, ended.status.exit) == ("exited", 0)
    assert ended.status.digest == hashlib.sha256(hello(1)).digest()


async def test_the_next_version_replaces_it(link: Link) -> None:
    await run_module(link, 0, hello(1))
    ended = await run_module(link, 0, hello(2))
    assert ended.stdout.startswith(b"hello, world: this is version 2\nnew in version 2: ")
    assert ended.status.digest == hashlib.sha256(hello(2)).digest()


async def test_both_streams_arrive_byte_for_byte(link: Link) -> None:
    source = r"""
    #include <stdio.h>
    #include <unistd.h>
    int main(void) {
        for (int i = 0; i < 256; i++) { unsigned char byte = (unsigned char)i; write(1, &byte, 1); }
        write(2, "no newline", 10);
        for (int i = 0; i < 5000; i++) { printf("%d ", i); }
        return 0;
    }"""
    ended = await run_module(link, 1, m.compile_c(source))
    assert ended.stdout == bytes(range(256)) + b"".join(b"%d " % i for i in range(5000))
    assert ended.stderr == b"no newline"


UNKNOWN_IMPORT = m.module(m.NOP, imports=(("env", "launch_missiles"),))
BAD = {
    "bad magic": (b"\0asn\x01\0\0\0", ("magic", "at 0x0")),
    "truncated section": (m.module(m.NOP)[:-4], ("section 10", "at 0x2f")),
    "invalid body": (m.module(m.I32_ADD), ("i32.add", "at 0x34", "function 0")),
    "unknown import": (UNKNOWN_IMPORT, ("import env.launch_missiles", "at 0x12")),
    "need above the arena": (m.module(m.NOP, pages=200), ("arena", "13107200 bytes of linear memory", "8388608")),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_module_is_refused_by_name_and_nothing_else_suffers(link: Link, case: str) -> None:
    module, words = BAD[case]
    await install(link, 1, m.compile_c(TICKER))
    await link.start(1, ("ticker",))
    before = (await link.slot(1)).log_next
    ended = await run_module(link, 0, module)
    assert ended.status.state == "refused"
    assert ended.status.error
    for word in words:
        assert word in ended.status.error
    assert await link.echo("still here") == "still here"
    await wait_for_output(link, 1, before + 1)
    assert (await link.slot(1)).state == "running"
    await link.stop(1)
    assert (await run_module(link, 0, hello(1))).status.state == "exited"


TRAPS = {  # the module and its trapping instruction's place in the file; a body begins at 0x34
    "unreachable": (m.module(m.UNREACHABLE), 0x34),
    "out of bounds memory access": (m.module(b"\x41\x7f\x28\x02\x00\x1a"), 0x36),  # i32.load at 2^32 - 1
    "integer divide by zero": (m.module(b"\x41\x01\x41\x00\x6d\x1a"), 0x38),
    "call stack exhausted": (m.module(b"\x10\x00"), 0x34),  # calls itself
}


@pytest.mark.parametrize("trap", TRAPS)
async def test_a_trap_ends_only_its_module(link: Link, trap: str) -> None:
    module, offset = TRAPS[trap]
    ended = await run_module(link, 0, module)
    assert (ended.status.state, ended.status.trap) == ("trapped", trap)
    assert f"_start (function 0 +{offset:#x})\n" in (ended.status.backtrace or "")
    assert await link.echo("next") == "next"


async def test_an_endless_loop_is_stopped(link: Link) -> None:
    await install(link, 0, ENDLESS)
    await link.start(0, ("endless",))
    assert (await link.slot(0)).state == "running"
    other = await run_module(link, 1, hello(1))
    assert other.status.state == "exited"
    await link.stop(0)
    assert (await link.slot(0)).state == "stopped"


async def test_fuel_ends_an_endless_loop(link: Link) -> None:
    ended = await run_module(link, 0, ENDLESS, fuel=1_000_000)
    assert (ended.status.state, ended.status.trap) == ("trapped", "fuel exhausted")


async def test_proc_exit_gives_its_code(link: Link) -> None:
    ended = await run_module(link, 0, m.compile_c("#include <stdlib.h>\nint main(void) { exit(7); }"))
    assert (ended.status.state, ended.status.exit) == ("exited", 7)


async def test_stop_and_start_again_runs_the_same_module(link: Link) -> None:
    await install(link, 1, m.compile_c(TICKER))
    for _ in range(3):
        cursor = (await link.slot(1)).log_next
        await link.start(1, ("ticker",))
        await wait_for_output(link, 1, cursor)
        await link.stop(1)
        first = (await link.logs(1, cursor)).records[0]
        assert first[3] == b"tick 0"
        assert (await link.slot(1)).state == "stopped"


async def test_clock_and_randomness(link: Link) -> None:
    source = r"""
    #include <stdio.h>
    #include <time.h>
    #include <unistd.h>
    int main(void) {
        unsigned char random[16];
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        usleep(20000);
        clock_gettime(CLOCK_MONOTONIC, &after);
        getentropy(random, sizeof random);
        long long slept = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec - before.tv_nsec;
        printf("%lld %lld ", (long long)time(NULL), slept);
        for (unsigned i = 0; i < sizeof random; i++) { printf("%02x", random[i]); }
        return 0;
    }"""
    await link.seed(bytes(range(32)))
    outputs = [(await run_module(link, 0, m.compile_c(source))).stdout.split() for _ in range(2)]
    for seconds, slept_ns, _ in outputs:
        assert int(seconds) > 1_600_000_000
        assert int(slept_ns) >= 20_000_000
    assert outputs[0][2] != outputs[1][2]


async def test_after_a_reset_a_module_runs_again_by_itself(device: Device) -> None:
    async with Link(device.record.port) as link:
        assert (await run_module(link, 0, hello(1))).status.state == "exited"
    await device.reset()
    async with Link(device.record.port) as link:
        slot = await link.slot(0)
        assert (slot.digest, slot.starts) == (hashlib.sha256(hello(1)).digest(), 1)
        assert (await run_module(link, 0, hello(2))).status.state == "exited"


async def test_it_gets_ready_after_each_of_many_resets(device: Device) -> None:
    async with Link(device.record.port) as link:
        before = [slot.digest for slot in (await link.status()).slots]
    for _ in range(25):
        await device.reset()
    async with Link(device.record.port) as link:
        assert [slot.digest for slot in (await link.status()).slots] == before


@pytest.mark.parametrize("neighbour", ["idle", "busy"])
async def test_upload_after_upload_gets_through(link: Link, neighbour: str) -> None:
    if neighbour == "busy":
        await install(link, 1, ENDLESS)
        await link.start(1)
    for seed in range(20):
        content = m.module(m.NOP) + m.section(0, m.name("noise") + random.Random(seed).randbytes(30_000))
        await link.upload(0, content)
        assert await link.candidate(0) == hashlib.sha256(content).digest()
    await link.stop(1)
