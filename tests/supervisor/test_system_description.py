# SPDX-License-Identifier: Apache-2.0
"""The system description keeps the design's promises, and its checks catch what would break them."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from sel4_bridge.system import (
    GIB,
    GUARD_SIZE,
    NATIVE_STACK_HOLE,
    SLOTS,
    Channel,
    DescriptionError,
    End,
    Map,
    ProtectionDomain,
    Region,
    System,
    device_system,
    layout_header,
    system_xml,
)


def test_no_domain_has_memory_that_is_writable_and_executable() -> None:
    by_domain: dict[str, dict[str, set[str]]] = {}
    for domain in device_system().all_domains():
        regions = by_domain.setdefault(domain.name, {})
        for mapping in domain.maps:
            regions.setdefault(mapping.region.name, set()).update(mapping.perms)
    assert by_domain["engine0"]["arena0"] == {"r", "w"}
    for name, regions in by_domain.items():
        for region, perms in regions.items():
            assert not {"w", "x"} <= perms, f"{name} can write and execute {region}"


def test_an_arena_belongs_to_one_engine_and_ends_in_a_hole() -> None:
    system = device_system()
    for slot in range(SLOTS):
        holders = [d.name for d in system.all_domains() for m in d.maps if m.region.name == f"arena{slot}"]
        assert holders == [f"engine{slot}"]
    for domain in system.all_domains():
        for arena in (m for m in domain.maps if m.region.name.startswith("arena")):
            end = arena.vaddr + arena.region.size
            assert all(not end <= m.vaddr < end + GUARD_SIZE for m in domain.maps)
            assert end + GUARD_SIZE < 2**40 - domain.stack_size  # below Microkit's stack


def test_engines_reach_nothing_but_their_slot() -> None:
    system = device_system()
    for slot in range(SLOTS):
        domain = next(d for d in system.all_domains() if d.name == f"engine{slot}")
        own = ("arena", "module", "control", "io", "code", "stack")
        assert {m.region.name for m in domain.maps} == {f"{n}{slot}" for n in own}
        assert next(m.perms for m in domain.maps if m.region.name == f"module{slot}") == "r"
        assert not domain.irqs


def test_native_code_is_written_by_the_supervisor_and_executed_by_one_engine() -> None:
    system = device_system()
    for slot in range(SLOTS):
        holders = {d.name: m.perms for d in system.all_domains() for m in d.maps if m.region.name == f"code{slot}"}
        assert holders == {"supervisor": "rw", f"engine{slot}": "rx"}


def test_a_native_stack_begins_above_a_hole() -> None:
    system = device_system()
    engine = next(d for d in system.all_domains() if d.name == "engine0")
    stack = next(m for m in engine.maps if m.region.name == "stack0")
    assert all(
        m.vaddr + m.region.size + NATIVE_STACK_HOLE <= stack.vaddr or m.vaddr >= stack.vaddr for m in engine.maps
    )
    closer = tuple(replace(m, vaddr=stack.vaddr - GIB) if m.region.name == "code0" else m for m in engine.maps)
    broken = System((replace(engine, maps=closer),), ())
    with pytest.raises(DescriptionError, match="stack0 has no hole below it"):
        broken.check()


def test_calls_go_upwards_only() -> None:
    system = device_system()
    priority = {d.name: d.priority for d in system.all_domains()}
    calls = [
        (a.domain, b.domain) for c in system.channels for a, b in ((c.first, c.second), (c.second, c.first)) if a.calls
    ]
    assert calls
    assert all(priority[a] < priority[b] for a, b in calls)


def test_xml_and_header_say_the_same() -> None:
    system = device_system()
    root = ET.fromstring(system_xml(system))  # noqa: S314  our own text
    header = layout_header(system)
    sizes = {r.get("name"): int(r.get("size", "0"), 16) for r in root.iter("memory_region")}
    assert f"#define SB_ARENA_SIZE {sizes['arena0']}u" in header
    assert f"#define SB_MODULE_SIZE {sizes['module1']}u" in header
    assert f"#define SB_SLOTS {SLOTS}u" in header
    ends = [(e.get("pd"), e.get("id")) for e in root.iter("end")]
    assert ("supervisor", "8") in ends
    assert "#define SB_CH_SUPERVISOR_ENGINE(slot) (8u + (slot))" in header
    assert len(set(ends)) == len(ends)


def _with(domain: ProtectionDomain, *channels: Channel) -> System:
    return System((domain,), channels)


def test_checks_find_contradictions() -> None:
    page = Region("page", 4096)
    good = ProtectionDomain("a", "a.elf", 10, maps=(Map(page, 0x10000, "rw", "x"),))
    _with(good).check()
    other = replace(good, name="b", priority=10)
    cases = {
        "executable": _with(replace(good, maps=(Map(page, 0x10000, "rwx", "x"),))),
        "overlaps": _with(replace(good, maps=(*good.maps, Map(Region("next", 4096), 0x11000, "r", "y")))),
        "hole": _with(
            replace(good, maps=(Map(Region("arena9", 4096), 0x10000, "rw", "x"), Map(page, 0x1_0000_0000, "r", "y")))
        ),
        "aligned": _with(replace(good, maps=(Map(page, 0x10001, "rw", "x"),))),
        "priority": _with(replace(good, priority=255)),
        "budget": _with(replace(good, budget_us=2000)),
        "same name": System((good, good), ()),
        "unknown": _with(good, Channel(End("a", 0), End("zz", 0))),
        "not in 0": _with(good, Channel(End("a", 62), End("a", 1))),
        "twice": _with(good, Channel(End("a", 1), End("a", 1))),
        "stand higher": System((good, other), (Channel(End("a", 0, calls=True), End("b", 0)),)),
    }
    for reason, system in cases.items():
        with pytest.raises(DescriptionError, match=reason):
            system.check()


def test_code_belongs_to_one_engine_and_its_parent() -> None:
    """Native code's regions: the supervisor writes, one engine executes."""
    code = Region("code", 4096)
    runs = ProtectionDomain("engine", "e.elf", 10, maps=(Map(code, 0x10000, "rx", "x"),))
    writes = Map(code, 0x20000, "rw", "y")
    parent = ProtectionDomain("parent", "p.elf", 20, maps=(writes,), children=((0, runs),))
    _with(parent).check()
    other = ProtectionDomain("other", "o.elf", 30, maps=(writes,))
    cases = {
        "mapped in other as well": System((parent, other), ()),
        "nobody's child": _with(replace(runs, name="alone")),
        "parent is nobody's child": _with(
            replace(parent, maps=(Map(code, 0x20000, "rx", "y"),), children=((0, runs),))
        ),
        "mapped in engine as well": _with(
            replace(parent, maps=(), children=((0, replace(runs, maps=(*runs.maps, replace(writes, vaddr=0x30000)))),))
        ),
    }
    for reason, system in cases.items():
        with pytest.raises(DescriptionError, match=reason):
            system.check()
