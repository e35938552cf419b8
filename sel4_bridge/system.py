# SPDX-License-Identifier: Apache-2.0
"""The one system description: memory regions, protection domains and channels of a wasel device.

From it come the Microkit `.system` file (genuine seL4 and stand-in kernel alike) and the C header `sb_layout.h`. A
number that both a protection domain and the kernel must know is written here and nowhere else.

Does not build anything: that is `sel4_bridge.build`. Source: Microkit User Manual 2.0.1, chapter "System Description
File".
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from xml.etree import ElementTree as ET

from edge_engine.files import write_if_changed
from sel4_bridge.hardware import DEFAULT_HARDWARE, Hardware

__all__ = [
    "ARENA_SIZE",
    "MODULE_SIZE",
    "SLOTS",
    "SLOT_CLASSES",
    "Channel",
    "DescriptionError",
    "End",
    "Irq",
    "Map",
    "ProtectionDomain",
    "Region",
    "SlotClass",
    "System",
    "Trigger",
    "device_system",
    "layout_header",
    "system_xml",
    "write_layout_header",
    "write_system_file",
]

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

SLOTS = 2
ARENA_SIZE = 8 * MIB  # bytes a slot, multiple of 2 MiB
MODULE_SIZE = 8 * MIB  # bytes a slot, multiple of 2 MiB: active module and candidate share it
CODE_SIZE = 2 * MIB  # bytes a slot, multiple of 2 MiB: native code, written by the supervisor, run by the engine alone
NATIVE_STACK_SIZE = 256 * KIB  # bytes a slot: what a module's run has of the machine's stack
NATIVE_STACK_RESERVE = 48 * KIB  # of it for the engine and the bridge below native code
CONTROL_SIZE = 4 * KIB
IO_SIZE = 64 * KIB
LAUNCH_SIZE = 16 * KIB
TREE_SIZE = 2 * MIB  # bytes a slot, multiple of 2 MiB: the files of a module, private to wasi
LOG_SIZE = 68 * KIB  # one page of indices and 64 KiB of records (sb_log.h)
MAIL_SIZE = 68 * KIB  # one page of indices, a ring of records each way (sb_mail.h)
UART_RING_SIZE = 68 * KIB  # one page of indices and 64 KiB of bytes (sb_ring.h)
SYSTEM_SIZE = 4 * KIB
RECORD_SIZE = 12 * KIB  # the record of a slot, between supervisor and store (sb_store.h)
DATA_SIZE = 20 * KIB  # paths and bytes of /data, between wasi and store (sb_data.h)

PAGE = 4 * KIB
LARGE_PAGE = 2 * MIB
CODE_VADDR = 16 * GIB
NATIVE_STACK_VADDR = 32 * GIB
NATIVE_STACK_HOLE = 8 * GIB  # unmapped below it: no frame of a function reaches across
ARENA_VADDR = 64 * GIB  # nothing is mapped above it in an engine but its stack, hundreds of GiB away
GUARD_SIZE = 8 * GIB + PAGE  # EE_GUARD_SIZE of edge_engine.h
REGIONS_VADDR = 0x1000_0000
STACK_SIZE = 16 * KIB
ENGINE_STACK_SIZE = 64 * KIB
CACHE_LINE = 64  # bytes, of the smallest among the boards' processors (Cortex-A53 TRM, 6.1)

MAX_CHANNEL = 61  # MICROKIT_MAX_CHANNEL_ID
MAX_PRIORITY = 254

TIMER_SET_LABEL = 1

TIME_SLICE_US = 1000  # Microkit's own default
THROTTLE_PERIOD_US = 50_000  # of the supervisor's own budgets, for starts that ask for less than the class has


@dataclass(frozen=True)
class SlotClass:
    """What a slot's engine gets from the kernel, fixed at build: Microkit gives no domain a way to change it.

    The supervisor lowers a running engine's priority by up to two and suspends it, to give a module less than this.
    """

    name: str  # what a manifest's slot_class names
    priority: int  # highest; two further ones lie below
    budget_us: int  # CPU time in every period; equal to it: all there is, in slices of that length
    period_us: int

    @property
    def percent(self) -> int:
        """The share of the CPU that a slot can have at most."""
        return 100 * self.budget_us // self.period_us


GENERAL = SlotClass("general", 100, TIME_SLICE_US, TIME_SLICE_US)
SLOT_CLASSES = (GENERAL,) * SLOTS


class DescriptionError(Exception):
    """The description contradicts itself or Microkit's rules; fix this module."""


class Trigger(Enum):
    """How an interrupt line behaves; values are Microkit's words."""

    LEVEL = "level"
    EDGE = "edge"


@dataclass(frozen=True)
class Region:
    """A contiguous range of memory; zeroed at boot unless it lies at a device's physical address."""

    name: str
    size: int  # bytes, multiple of page_size
    page_size: int = PAGE  # bytes, 4 KiB or 2 MiB
    phys_addr: int | None = None


@dataclass(frozen=True)
class Map:
    """A region as one protection domain sees it; `symbol` is set to the address in the domain's ELF file."""

    region: Region
    vaddr: int
    perms: str  # of "rwx"
    symbol: str
    cached: bool = True


@dataclass(frozen=True)
class Irq:
    """A hardware interrupt, delivered to the domain as a notification on channel `channel`."""

    number: int
    channel: int
    trigger: Trigger = Trigger.LEVEL


@dataclass(frozen=True)
class ProtectionDomain:
    """One protection domain; `budget_us` out of `period_us` of CPU time, equal means a plain time slice."""

    name: str
    image: str  # file name of its ELF
    priority: int  # 0..254, higher runs first
    maps: tuple[Map, ...] = ()
    irqs: tuple[Irq, ...] = ()
    children: tuple[tuple[int, ProtectionDomain], ...] = ()  # (child id, domain)
    stack_size: int = STACK_SIZE  # bytes
    budget_us: int = TIME_SLICE_US
    period_us: int = TIME_SLICE_US


@dataclass(frozen=True)
class End:
    """One end of a channel: domain, its local channel number, and whether it may call the other end."""

    domain: str
    channel: int  # 0..61
    calls: bool = False


@dataclass(frozen=True)
class Channel:
    """A channel between exactly two domains; both may notify."""

    first: End
    second: End


@dataclass(frozen=True)
class System:
    """The whole device."""

    domains: tuple[ProtectionDomain, ...]  # roots; children hang below their parents
    channels: tuple[Channel, ...]

    def all_domains(self) -> tuple[ProtectionDomain, ...]:
        """Every domain, parents before children."""
        found: list[ProtectionDomain] = []
        waiting = list(reversed(self.domains))
        while waiting:
            domain = waiting.pop()
            found.append(domain)
            waiting.extend(child for _, child in reversed(domain.children))
        return tuple(found)

    def regions(self) -> tuple[Region, ...]:
        """Every region that is mapped somewhere, in order of first use."""
        return tuple(dict.fromkeys(m.region for domain in self.all_domains() for m in domain.maps))

    def check(self) -> None:
        """Raise DescriptionError for what Microkit, or the design, would not allow."""
        domains = {domain.name: domain for domain in self.all_domains()}
        if len(domains) != len(self.all_domains()):
            raise DescriptionError("two protection domains have the same name")
        names = [region.name for region in self.regions()]
        if len(set(names)) != len(names):
            raise DescriptionError("two different regions have the same name")
        for domain in domains.values():
            _check_domain(domain)
        _check_code(domains)
        used = {(name, irq.channel) for name, domain in domains.items() for irq in domain.irqs}
        for channel in self.channels:
            for end, other in ((channel.first, channel.second), (channel.second, channel.first)):
                if end.domain not in domains:
                    raise DescriptionError(f"a channel names the unknown protection domain {end.domain}")
                if not 0 <= end.channel <= MAX_CHANNEL:
                    raise DescriptionError(f"{end.domain}: channel {end.channel} is not in 0..{MAX_CHANNEL}")
                if (end.domain, end.channel) in used:
                    raise DescriptionError(f"{end.domain}: channel {end.channel} is used twice")
                used.add((end.domain, end.channel))
                if end.calls and domains[end.domain].priority >= domains[other.domain].priority:
                    raise DescriptionError(f"{end.domain} may not call {other.domain}: the callee must stand higher")


def _check_code(domains: dict[str, ProtectionDomain]) -> None:
    """Raise DescriptionError unless what is executable belongs to one engine and is written by its parent at most."""
    mappings = [(domain.name, mapping) for domain in domains.values() for mapping in domain.maps]
    parents = {child.name: parent.name for parent in domains.values() for _, child in parent.children}
    for name, code in ((name, mapping) for name, mapping in mappings if "x" in mapping.perms):
        if name not in parents:
            raise DescriptionError(f"{name}: {code.region.name} is executable, and {name} is nobody's child")
        for other, mapping in mappings:
            if mapping.region != code.region or mapping is code:
                continue
            if other != parents[name] or "x" in mapping.perms:
                raise DescriptionError(f"{code.region.name} is executable in {name} and mapped in {other} as well")


def _check_domain(domain: ProtectionDomain) -> None:
    """Raise DescriptionError where mappings overlap, break a guard, or a number is out of range."""
    if not 0 <= domain.priority <= MAX_PRIORITY:
        raise DescriptionError(f"{domain.name}: priority {domain.priority} is not in 0..{MAX_PRIORITY}")
    if not 0 < domain.budget_us <= domain.period_us:
        raise DescriptionError(f"{domain.name}: budget {domain.budget_us} us exceeds period {domain.period_us} us")
    previous_end = 0
    for mapping in sorted(domain.maps, key=lambda m: m.vaddr):
        region = mapping.region
        if region.size % region.page_size or mapping.vaddr % region.page_size:
            raise DescriptionError(f"{domain.name}: {region.name} is not aligned to its pages")
        if mapping.vaddr < previous_end:
            raise DescriptionError(f"{domain.name}: {region.name} overlaps or breaks the hole below it")
        if "w" in mapping.perms and "x" in mapping.perms:
            raise DescriptionError(f"{domain.name}: {region.name} is both writable and executable")
        if region.name.startswith("stack") and mapping.vaddr < previous_end + NATIVE_STACK_HOLE:
            raise DescriptionError(f"{domain.name}: {region.name} has no hole below it")
        guard = GUARD_SIZE if region.name.startswith("arena") else PAGE
        previous_end = mapping.vaddr + region.size + guard


def _slot_regions(kind: str, size: int, page_size: int = PAGE) -> tuple[Region, ...]:
    return tuple(Region(f"{kind}{slot}", size, page_size) for slot in range(SLOTS))


def _place(wanted: tuple[tuple[Region, str, str], ...]) -> tuple[Map, ...]:
    """Addresses for (region, perms, symbol), one after the other, each followed by an unmapped hole."""
    maps: list[Map] = []
    at = REGIONS_VADDR
    for region, perms, symbol in wanted:
        at = -(-at // region.page_size) * region.page_size
        maps.append(Map(region, at, perms, f"sb_{symbol}_vaddr", cached=region.phys_addr is None))
        at += region.size + PAGE
    return tuple(maps)


def device_system(hardware: Hardware = DEFAULT_HARDWARE) -> System:
    """Describe the device as built for a board: timer, uart, store, supervisor with its engines, wasi.

    Raises:
        DescriptionError: this module contradicts itself.

    """
    slots = range(SLOTS)
    arena = _slot_regions("arena", ARENA_SIZE, LARGE_PAGE)
    module = _slot_regions("module", MODULE_SIZE, LARGE_PAGE)
    code = _slot_regions("code", CODE_SIZE, LARGE_PAGE)
    stack = _slot_regions("stack", NATIVE_STACK_SIZE)
    control = _slot_regions("control", CONTROL_SIZE)
    io = _slot_regions("io", IO_SIZE)
    launch = _slot_regions("launch", LAUNCH_SIZE)
    log = _slot_regions("log", LOG_SIZE)
    mail = _slot_regions("mail", MAIL_SIZE)
    tree = _slot_regions("tree", TREE_SIZE, LARGE_PAGE)
    shared = Region("system", SYSTEM_SIZE)
    uart_rx = Region("uart_rx", UART_RING_SIZE)
    uart_tx = Region("uart_tx", UART_RING_SIZE)
    uart_device = Region("uart", PAGE, phys_addr=hardware.uart.paddr)
    rtc = () if hardware.rtc_paddr is None else ((Region("rtc", PAGE, phys_addr=hardware.rtc_paddr), "r", "rtc"),)
    record = Region("record", RECORD_SIZE)
    flash = hardware.flash and Region("flash", hardware.flash.size, LARGE_PAGE, phys_addr=hardware.flash.paddr)
    data = Region("data", DATA_SIZE)

    timer = ProtectionDomain("timer", "timer.elf", 250, irqs=(Irq(hardware.timer_irq, 0),))
    uart = ProtectionDomain(
        "uart",
        "uart.elf",
        240,
        maps=_place(((uart_rx, "rw", "uart_rx"), (uart_tx, "rw", "uart_tx"), (uart_device, "rw", "uart"))),
        irqs=(Irq(hardware.uart.irq, 0),),
    )
    engines = tuple(
        ProtectionDomain(
            f"engine{slot}",
            "engine.elf",
            SLOT_CLASSES[slot].priority,
            maps=(
                *_place(((control[slot], "rw", "control"), (io[slot], "rw", "io"), (module[slot], "r", "module"))),
                Map(code[slot], CODE_VADDR, "rx", "sb_code_vaddr"),
                Map(stack[slot], NATIVE_STACK_VADDR, "rw", "sb_stack_vaddr"),
                Map(arena[slot], ARENA_VADDR, "rw", "sb_arena_vaddr"),
            ),
            stack_size=ENGINE_STACK_SIZE,
            budget_us=SLOT_CLASSES[slot].budget_us,
            period_us=SLOT_CLASSES[slot].period_us,
        )
        for slot in slots
    )
    supervisor = ProtectionDomain(
        "supervisor",
        "supervisor.elf",
        220,
        maps=_place(
            (
                (uart_rx, "rw", "uart_rx"),
                (uart_tx, "rw", "uart_tx"),
                *rtc,
                (shared, "rw", "system"),
                (record, "rw", "record"),
                *((control[s], "rw", f"control{s}") for s in slots),
                *((launch[s], "rw", f"launch{s}") for s in slots),
                *((log[s], "rw", f"log{s}") for s in slots),
                *((mail[s], "rw", f"mail{s}") for s in slots),
                *((module[s], "rw", f"module{s}") for s in slots),
                *((code[s], "rw", f"code{s}") for s in slots),
            )
        ),
        children=tuple(enumerate(engines)),
    )
    store = ProtectionDomain(
        "store",
        "store.elf",
        230,
        maps=_place(
            (
                (record, "rw", "record"),
                (data, "rw", "data"),
                *(((flash, "rw", "flash"),) if flash else ()),
                *((module[s], "rw", f"module{s}") for s in slots),
            )
        ),
    )
    wasi = ProtectionDomain(
        "wasi",
        "wasi.elf",
        210,
        maps=_place(
            (
                (shared, "r", "system"),
                (data, "rw", "data"),
                *((io[s], "rw", f"io{s}") for s in slots),
                *((launch[s], "r", f"launch{s}") for s in slots),
                *((log[s], "rw", f"log{s}") for s in slots),
                *((mail[s], "rw", f"mail{s}") for s in slots),
                *((tree[s], "rw", f"tree{s}") for s in slots),
            )
        ),
    )
    channels = (
        Channel(End("supervisor", 0, calls=True), End("timer", 1)),
        Channel(End("wasi", 0, calls=True), End("timer", 2)),
        Channel(End("supervisor", 1), End("uart", 1)),
        Channel(End("supervisor", 2), End("wasi", 1)),
        Channel(End("supervisor", 3, calls=True), End("store", 1)),
        Channel(End("wasi", 2, calls=True), End("store", 2)),
        *(Channel(End(f"engine{s}", 0, calls=True), End("wasi", 8 + s)) for s in slots),
        *(Channel(End(f"engine{s}", 1), End("supervisor", 8 + s)) for s in slots),
    )
    system = System((timer, uart, store, supervisor, wasi), channels)
    system.check()
    return system


def system_xml(system: System) -> str:
    """Return the description as Microkit's `.system` XML."""
    root = ET.Element("system")
    for region in system.regions():
        attributes = {"name": region.name, "size": hex(region.size), "page_size": hex(region.page_size)}
        if region.phys_addr is not None:
            attributes["phys_addr"] = hex(region.phys_addr)
        ET.SubElement(root, "memory_region", attributes)
    for domain in system.domains:
        _domain_xml(root, domain, None)
    for channel in system.channels:
        element = ET.SubElement(root, "channel")
        for end in (channel.first, channel.second):
            attributes = {"pd": end.domain, "id": str(end.channel)}
            if end.calls:
                attributes["pp"] = "true"
            ET.SubElement(element, "end", attributes)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _domain_xml(parent: ET.Element, domain: ProtectionDomain, child_id: int | None) -> None:
    attributes = {"name": domain.name, "priority": str(domain.priority)}
    if child_id is not None:
        attributes["id"] = str(child_id)
    attributes |= {
        "budget": str(domain.budget_us),
        "period": str(domain.period_us),
        "stack_size": hex(domain.stack_size),
    }
    element = ET.SubElement(parent, "protection_domain", attributes)
    ET.SubElement(element, "program_image", {"path": domain.image})
    for mapping in domain.maps:
        attributes = {"mr": mapping.region.name, "vaddr": hex(mapping.vaddr), "perms": mapping.perms}
        if not mapping.cached:
            attributes["cached"] = "false"
        attributes["setvar_vaddr"] = mapping.symbol
        ET.SubElement(element, "map", attributes)
    for irq in domain.irqs:
        ET.SubElement(element, "irq", {"irq": str(irq.number), "id": str(irq.channel), "trigger": irq.trigger.value})
    for number, child in domain.children:
        _domain_xml(element, child, number)


def _channel_lines(system: System) -> list[str]:
    """One constant per channel end; the engines' ends become one constant and one macro."""

    def name_of(domain: str) -> str:
        return domain.rstrip("0123456789").upper()

    lines: dict[str, None] = {}
    for domain in system.all_domains():
        for irq in domain.irqs:
            lines[f"#define SB_CH_{name_of(domain.name)}_IRQ {irq.channel}u"] = None
    for channel in system.channels:
        for end, other in ((channel.first, channel.second), (channel.second, channel.first)):
            name = f"SB_CH_{name_of(end.domain)}_{name_of(other.domain)}"
            slot = other.domain[len(name_of(other.domain)) :]
            if slot:
                lines[f"#define {name}(slot) ({end.channel - int(slot)}u + (slot))"] = None
            else:
                lines[f"#define {name} {end.channel}u"] = None
    return list(lines)


def _engine_lines(system: System) -> list[str]:
    """Return what an engine that is restarted must not take from its own memory, which a former run may have spoilt.

    Raises:
        DescriptionError: two engines differ in it; they share one ELF file.

    """
    found: set[tuple[tuple[str, str], ...]] = set()
    for domain in system.all_domains():
        if not domain.name.startswith("engine"):
            continue
        ends = [end for channel in system.channels for end in (channel.first, channel.second)]
        own = [end for end in ends if end.domain == domain.name]
        numbers = [(f"{mapping.symbol.removeprefix('sb_')}", mapping.vaddr) for mapping in domain.maps]
        numbers.append(("calls", sum(1 << end.channel for end in own if end.calls)))
        numbers.append(("notifies", sum(1 << end.channel for end in own)))
        found.add(tuple((f"SB_ENGINE_{name.upper()}", hex(number)) for name, number in numbers))
    if len(found) != 1:
        raise DescriptionError("two engines have different addresses or channels")
    return [f"#define {name} {number}" for name, number in found.pop()]


def _class_row(slot_class: SlotClass) -> str:
    return f'X("{slot_class.name}", {slot_class.priority}u, {slot_class.budget_us}u, {slot_class.period_us}u)'


def layout_header(system: System) -> str:
    """Return the numbers of the description that C code needs, as `sb_layout.h`."""
    sizes = {
        "SB_ARENA_SIZE": ARENA_SIZE,
        "SB_MODULE_SIZE": MODULE_SIZE,
        "SB_CODE_SIZE": CODE_SIZE,
        "SB_NATIVE_STACK_SIZE": NATIVE_STACK_SIZE,
        "SB_NATIVE_STACK_RESERVE": NATIVE_STACK_RESERVE,
        "SB_CACHE_LINE": CACHE_LINE,
        "SB_CONTROL_SIZE": CONTROL_SIZE,
        "SB_IO_SIZE": IO_SIZE,
        "SB_TREE_SIZE": TREE_SIZE,
        "SB_UART_RING_REGION_SIZE": UART_RING_SIZE,
        "SB_ENGINE_STACK_SIZE": ENGINE_STACK_SIZE,
        "SB_THROTTLE_PERIOD_US": THROTTLE_PERIOD_US,
    }
    lines = [
        "/* SPDX-License-Identifier: Apache-2.0 */",
        "/* Generated from sel4_bridge/system.py: sizes in bytes and channel numbers of the device. Do not edit. */",
        "#pragma once",
        "",
        f"#define SB_SLOTS {SLOTS}u",
        "#define SB_EACH_SLOT(X) " + " ".join(f"X({slot})" for slot in range(SLOTS)),
        "",
        *(f"#define {name} {size}u" for name, size in sizes.items()),
        "",
        *_channel_lines(system),
        "",
        "/* An engine's addresses, and bit masks of its channels (engine/entry.S): plain numbers for the assembler. */",
        *_engine_lines(system),
        "",
        "/* X(name, priority, budget_us, period_us), one row a slot. */",
        "#define SB_EACH_SLOT_CLASS(X) " + " ".join(_class_row(each) for each in SLOT_CLASSES),
        "",
        f"#define SB_NATIVE_STACK_HOLE UINT64_C({NATIVE_STACK_HOLE})",
        "",
        "/* Label of the timer's one protected procedure: MR0 = absolute CNTPCT ticks, 0 cancels. */",
        f"#define SB_TIMER_SET {TIMER_SET_LABEL}u",
    ]
    return "\n".join(lines) + "\n"


def write_layout_header(path: Path) -> None:
    """Write `sb_layout.h` to `path` (OSError where that fails)."""
    write_if_changed(path, layout_header(device_system()))


def write_system_file(path: Path, hardware: Hardware = DEFAULT_HARDWARE) -> None:
    """Write a board's Microkit `.system` file to `path` (OSError where that fails)."""
    write_if_changed(path, system_xml(device_system(hardware)))


def main() -> int:
    """`python -m sel4_bridge.system [--header PATH] [--system PATH]`; without either, the XML on stdout."""
    parser = argparse.ArgumentParser(description="Print or write wasel's system description.")
    parser.add_argument("--header", type=Path, help="write sb_layout.h here")
    parser.add_argument("--system", type=Path, help="write the Microkit .system file here")
    options = parser.parse_args()
    if options.header is not None:
        write_layout_header(options.header)
    if options.system is not None:
        write_system_file(options.system)
    if options.header is None and options.system is None:
        sys.stdout.write(system_xml(device_system()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
