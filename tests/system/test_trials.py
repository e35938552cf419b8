# SPDX-License-Identifier: Apache-2.0
"""Health probes on a booted device: a new version confirms itself, or the old one runs again."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from agent.keys import load_private_key
from agent.link.device import Device as Link
from agent.link.modules import SlotStatus
from agent.manifest import Health, Manifest
from agent.signing import sign_module
from sel4_bridge.build import DEVELOPMENT_KEY
from tests.system import modules as m
from tests.system.conftest import RUN_TIMEOUT_S, install
from tests.system.test_store import powered, ticker, wait_for_output

pytestmark = pytest.mark.system
WHO = (("WHO", "x"),)
COUNTER = """
#include <stdio.h>
#include <unistd.h>
int main(void) {
    for (unsigned n = 0;; n++) {
        printf("%u\\n", n);
        fflush(stdout);
        usleep(2000);
    }
}
"""


def sign(module: bytes, sequence: int, health: Health | None = None) -> bytes:
    key = load_private_key(DEVELOPMENT_KEY)
    return sign_module(module, Manifest("ticker", f"0.0.{sequence}", sequence, health=health), key)


async def until(link: Link, slot: int, digest: bytes, *, confirmed: bool) -> SlotStatus:
    async with asyncio.timeout(RUN_TIMEOUT_S):
        while True:
            status = await link.slot(slot)
            if (status.digest, status.confirmed) == (digest, confirmed):
                return status
            await asyncio.sleep(0.01)


async def put_on_trial(link: Link, module: bytes) -> bytes:
    digest = hashlib.sha256(module).digest()
    await link.upload(0, module)
    await link.set_pending(digest, confirm=False)
    await link.start(0, ("ticker",), WHO)
    return digest


async def test_probes_decide_by_themselves(kernel: str, tmp_path: Path) -> None:
    old = sign(ticker(1), 1)
    old_digest = hashlib.sha256(old).digest()
    line = sign(ticker(2), 2, Health(line="version 2 - x tick 5"))
    alive = sign(ticker(3), 3, Health(alive_s=1))
    async with powered(kernel, tmp_path) as (_, link):
        await install(link, 0, old)
        await link.start(0, ("ticker",), WHO)
        for module in (line, alive):
            digest = await put_on_trial(link, module)
            status = await until(link, 0, digest, confirmed=True)
            assert (status.state, status.probe_ms, status.reverted) == ("running", None, None)
        await link.rollback(0)
        line_digest = hashlib.sha256(line).digest()
        assert (await link.slot(0)).digest == line_digest
    async with powered(kernel, tmp_path) as (_, link):
        assert (await link.slot(0)).digest == line_digest
        late = sign(ticker(4), 4, Health(line="never", timeout_s=1))
        digest = await put_on_trial(link, late)
        status = await until(link, 0, line_digest, confirmed=True)
        assert status.reverted is not None
        assert (status.reverted.digest, status.reverted.why) == (digest, 4)
    async with powered(kernel, tmp_path) as (_, link):  # flash remembers from which module it went back
        status = await link.slot(0)
        assert (status.state, status.digest) == ("running", line_digest)
        assert status.reverted is not None
        assert status.reverted.digest == digest
    assert old_digest != line_digest


async def test_a_revert_takes_little_time_and_the_other_slot_loses_no_output(
    kernel: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = sign(ticker(1), 1)
    bad = sign(m.compile_c("int main(void) { __builtin_trap(); }"), 2, Health(exit=0))
    counter = m.compile_c(COUNTER)
    times = []
    async with powered(kernel, tmp_path) as (_, link):
        await install(link, 1, counter)
        await link.start(1, lossless=True)
        await install(link, 0, old)
        await link.start(0, ("ticker",), WHO)
        await wait_for_output(link, 0, b"version 1 - x tick 1")
        output: list[bytes] = []
        cursor = 0
        for _ in range(5):
            digest = await put_on_trial(link, bad)
            status = await until(link, 0, hashlib.sha256(old).digest(), confirmed=True)
            assert status.reverted is not None
            assert (status.reverted.digest, status.reverted.why) == (digest, 3)
            async with asyncio.timeout(RUN_TIMEOUT_S):
                while not (took := int((await link.stats(0))["start_us"])):  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            times.append(took)
            answer = await link.logs(1, cursor)
            assert answer.dropped == 0
            output += [data for _, _, _, data in answer.records]
            cursor = answer.next
        assert len(output) > 20
        assert output == [str(n).encode() for n in range(len(output))]
    with capsys.disabled():
        print(f"\n{kernel}: from the decision to go back to the old module's first instruction: {times} us")
