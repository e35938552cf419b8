# SPDX-License-Identifier: Apache-2.0
"""The public WASI test suite, where it lies beside the project: on the host and on a booted device, both kernels.

On the RAM tree every program passes. On /data those that make links do not, and no others: littlefs has none.
"""

from __future__ import annotations

import subprocess

import pytest

from agent.link.device import Device as Link
from qemu.launcher import image_for, running_device
from qemu.sim import SimOptions, running_simulator
from sel4_bridge.files import with_files
from tests.wasi.device import finished, flash, needs, output, records
from tests.wasi.suite import VARIABLE, Program, programs

PROGRAMS = programs()
ARENA = 8 << 20
STDERR = 2
WITH_LINKS = {
    f"rust/{name}"
    for name in ("nofollow_errors", "path_exists", "path_link", "readlink", "symlink_create", "symlink_filestat")
}
missing = pytest.mark.skipif(not PROGRAMS, reason=f"{VARIABLE} is not set: the WASI test suite is not here")


def module_of(program: Program) -> bytes:
    content = program.file.read_bytes()
    return with_files(content, [program.root]) if program.root else content


@missing
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_on_the_host(runner, tmp_path, program):
    file = tmp_path / program.file.name
    file.write_bytes(module_of(program))
    command = [str(runner), "--arena", str(ARENA)]
    command += [word for name, value in program.env for word in ("--env", f"{name}={value}")]
    command += ["--grant", "dir=/"] if program.root else []
    command += [str(file), "--", program.file.name, *program.args]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
    assert done.returncode == program.exit_code, done.stderr.decode(errors="replace")
    assert program.stdout in {None, done.stdout}


@missing
@pytest.mark.parametrize("program", [one for one in PROGRAMS if one.root], ids=lambda program: program.name)
async def test_on_flash(program):
    async with running_simulator(SimOptions()) as running, Link(running.port, name="simulator") as device:
        await flash(device, 0, module_of(program))
        await device.start(0, (program.file.name, *program.args), program.env, lossless=True, grants=("dir=/data::/",))
        state = await finished(device, 0)
        errors = b"".join(content for stream, _, content in await records(device, 0) if stream == STDERR)
        if program.name in WITH_LINKS:
            assert (state.state, b"NOTSUP" in errors.upper()) == ("trapped", True), (state, errors)
        else:
            assert (state.state, state.exit) == ("exited", program.exit_code), errors


@missing
@pytest.mark.system
@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_on_a_device(kernel):
    needs(kernel)
    failed = {}
    async with (
        running_device("suite", kernel=kernel, image=image_for(kernel)) as running,
        Link(running.record.port, name="device") as device,
    ):
        former = None
        for program in PROGRAMS:
            module = module_of(program)
            await flash(device, 0, module, base=former)  # a tenth of the bytes: they share their language's library
            former = module
            before = (await device.slot(0)).log_next
            grants = ("dir=/",) if program.root else ()
            await device.start(0, (program.file.name, *program.args), program.env, lossless=True, grants=grants)
            state = await finished(device, 0)
            written = await output(device, 0, before)
            if (state.state, state.exit) != ("exited", program.exit_code) or program.stdout not in {None, written}:
                failed[program.name] = f"{state.state} {state.exit} {state.trap or state.error}: {written[-200:]!r}"
    assert not failed
    assert len(PROGRAMS) == len(list({program.file for program in PROGRAMS}))
