# SPDX-License-Identifier: Apache-2.0
"""Domains in the simulator have the permissions of the description, and the sanitizers watch them."""

import pytest

from qemu.simulator_build import system_table
from sel4_bridge.system import Region, device_system
from tests.simulator.conftest import build_probe, run_probe

TABLE = Region("table", 4096)


@pytest.mark.parametrize("bad", ["1", "3"])
def test_what_the_description_forbids_is_a_fault(bad: str) -> None:
    done = run_probe(build_probe("bad_probe.c", TABLE, "r", "sb_table_vaddr", flags=bad))
    assert done.returncode == 70
    assert "domain probe faulted: label 6" in done.stderr


def test_a_domain_without_a_flaw_ends_well() -> None:
    done = run_probe(build_probe("bad_probe.c", TABLE, "r", "sb_table_vaddr", flags="0"))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_sanitizer_sees_what_permissions_do_not() -> None:
    done = run_probe(build_probe("bad_probe.c", TABLE, "r", "sb_table_vaddr", flags="2", sanitize=True))
    assert done.returncode not in {0, 70}
    assert "index 4 out of bounds" in done.stderr or "AddressSanitizer" in done.stderr


def test_the_table_has_every_domain_region_and_channel() -> None:
    system = device_system()
    text = system_table(system)
    assert f"SIM_DOMAINS = {len(system.all_domains())} " in text
    assert f"SIM_REGIONS = {len(system.regions())} " in text
    assert f"SIM_ENDS = {2 * len(system.channels)} " in text
    for domain in system.all_domains():
        assert f'{{"{domain.name}", {domain.priority}, ' in text
