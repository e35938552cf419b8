# SPDX-License-Identifier: Apache-2.0
"""Read a Microkit system description (the ``.system`` XML file, dialect of 2.0.1) into dataclasses.

Contract: what the Microkit tool refuses is refused here with file and line; what it accepts means the same. Not
supported, and refused by name: virtual machines, SMC calls, mappings that are writable and executable, memory regions
at addresses of RAM. Pure: reads no ELF file and writes nothing.

Errors::

    ImageError          base of everything the image builder refuses; the text says what to change
      SystemFileError   the description
      ElfError          a program image (elf_file.py)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING
from xml.parsers import expat

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "PAGE",
    "RAM_BASE",
    "USER_TOP",
    "Channel",
    "Domain",
    "End",
    "ImageError",
    "Interrupt",
    "Map",
    "Region",
    "SetVar",
    "System",
    "SystemFileError",
    "parse_system",
]

PAGE = 0x1000  # bytes
LARGE_PAGE = 0x200000  # bytes
USER_TOP = 1 << 40  # first address that no domain has; the stack lies below it
RAM_BASE = 0x40000000  # of QEMU's virt machine
MAX_DOMAINS = 63
MAX_ID = 61
MAX_PRIORITY = 254
MAX_STACK = 16 << 20  # bytes
DEFAULT_BUDGET_US = 1000


class ImageError(Exception):
    """The image can't be built; the text names the place and the reason."""


class SystemFileError(ImageError):
    """The system description is wrong or asks for something unsupported."""


@dataclass(frozen=True)
class Region:
    """Memory that domains may map. ``phys_addr`` None: anywhere in RAM, cleared at boot."""

    name: str
    size: int  # bytes
    page_size: int  # bytes
    phys_addr: int | None


@dataclass(frozen=True)
class Map:
    """A region in a domain's address space; ``perms`` is a subset of "rwx"."""

    region: str
    vaddr: int
    perms: str
    cached: bool


@dataclass(frozen=True)
class Interrupt:
    """An interrupt that notifies the domain on channel ``id``."""

    irq: int
    id: int
    edge: bool


@dataclass(frozen=True)
class SetVar:
    """A 64-bit variable of the program to fill in: kind "vaddr", "size" or "paddr" of a region."""

    symbol: str
    kind: str
    region: str
    vaddr: int


@dataclass(frozen=True)
class Domain:
    """A protection domain; ``parent`` is an index into ``System.domains``, ``id`` what the parent calls it."""

    name: str
    priority: int
    budget_us: int
    period_us: int
    passive: bool
    stack_size: int  # bytes
    program: str
    maps: tuple[Map, ...]
    interrupts: tuple[Interrupt, ...]
    setvars: tuple[SetVar, ...]
    parent: int | None
    id: int | None


@dataclass(frozen=True)
class End:
    """One end of a channel: ``call`` means that this domain may call the other."""

    domain: int
    id: int
    notify: bool
    call: bool


@dataclass(frozen=True)
class Channel:
    """Two domains that may notify or call each other."""

    a: End
    b: End


@dataclass(frozen=True)
class System:
    """A whole system, checked."""

    domains: tuple[Domain, ...]
    regions: tuple[Region, ...]
    channels: tuple[Channel, ...]


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    line: int
    children: list[_Element] = field(default_factory=list)


def _read_xml(text: str, filename: str) -> _Element:
    """Return the document's root element, with line numbers."""
    stack = [_Element("", {}, 0)]
    parser = expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        element = _Element(name, attributes, parser.CurrentLineNumber)
        stack[-1].children.append(element)
        stack.append(element)

    def characters(data: str) -> None:
        if data.strip():
            raise SystemFileError(f"{filename}:{parser.CurrentLineNumber}: text {data.strip()!r} between elements")

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _name: stack.pop()
    parser.CharacterDataHandler = characters
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise SystemFileError(f"{filename}:{error.lineno}: not well-formed XML: {error}") from error
    return stack[0].children[0]


@dataclass
class _Parts:
    """What a protection_domain element holds besides its children."""

    programs: list[str] = field(default_factory=list)
    maps: list[Map] = field(default_factory=list)
    interrupts: list[Interrupt] = field(default_factory=list)
    setvars: list[SetVar] = field(default_factory=list)


class _Reader:
    """Turns elements into dataclasses; every error names file, line and element."""

    def __init__(self, filename: str) -> None:
        self.filename = filename
        self.domains: list[Domain] = []

    def fail(self, element: _Element, why: str) -> SystemFileError:
        return SystemFileError(f"{self.filename}:{element.line}: {element.name}: {why}")

    def check(self, element: _Element, *allowed: str) -> None:
        for name in element.attributes:
            if name not in allowed:
                raise self.fail(element, f"invalid attribute '{name}'")

    def text(self, element: _Element, name: str) -> str:
        try:
            return element.attributes[name]
        except KeyError:
            raise self.fail(element, f"missing attribute '{name}'") from None

    def number(self, element: _Element, name: str, default: int | None = None) -> int:
        if name not in element.attributes and default is not None:
            return default
        text = self.text(element, name).replace("_", "")
        try:
            value = int(text, 16 if text.startswith("0x") else 10)
        except ValueError:
            raise self.fail(element, f"{name}: not a number: '{text}'") from None
        if not 0 <= value < 1 << 64:
            raise self.fail(element, f"{name}: does not fit 64 bits: {text}")
        return value

    def boolean(self, element: _Element, name: str, *, default: bool) -> bool:
        text = element.attributes.get(name)
        if text is None:
            return default
        if text not in {"true", "false"}:
            raise self.fail(element, f"{name} must be 'true' or 'false'")
        return text == "true"

    def channel_id(self, element: _Element) -> int:
        value = self.number(element, "id")
        if value > MAX_ID:
            raise self.fail(element, f"id must be at most {MAX_ID}")
        return value

    def region(self, element: _Element) -> Region:
        self.check(element, "name", "size", "page_size", "phys_addr")
        name, size = self.text(element, "name"), self.number(element, "size")
        page_size = self.number(element, "page_size", PAGE)
        if page_size not in {PAGE, LARGE_PAGE}:
            raise self.fail(element, f"page size {page_size:#x} not supported")
        if size == 0 or size % page_size:
            raise self.fail(element, "size is not a multiple of the page size")
        phys_addr = self.number(element, "phys_addr") if "phys_addr" in element.attributes else None
        if phys_addr is not None and phys_addr % page_size:
            raise self.fail(element, "phys_addr is not aligned to the page size")
        return Region(name, size, page_size, phys_addr)

    def map(self, element: _Element, stack_size: int) -> tuple[Map, list[SetVar]]:
        self.check(element, "mr", "vaddr", "perms", "cached", "setvar_vaddr", "setvar_size")
        region, vaddr = self.text(element, "mr"), self.number(element, "vaddr")
        perms = element.attributes.get("perms", "rw")
        if set(perms) - set("rwx"):
            raise self.fail(element, "perms must only be a combination of 'r', 'w', and 'x'")
        if perms == "w":
            raise self.fail(element, "perms must not be 'w', write-only mappings are not allowed")
        if "w" in perms and "x" in perms:
            raise self.fail(element, "perms may not be writable and executable at once")
        if vaddr >= USER_TOP - stack_size:
            raise self.fail(element, f"vaddr must be less than {USER_TOP - stack_size:#x}")
        setvars = [
            SetVar(element.attributes[f"setvar_{kind}"], kind, region, vaddr)
            for kind in ("vaddr", "size")
            if f"setvar_{kind}" in element.attributes
        ]
        return Map(region, vaddr, perms, self.boolean(element, "cached", default=True)), setvars

    def interrupt(self, element: _Element) -> Interrupt:
        self.check(element, "irq", "id", "trigger")
        trigger = element.attributes.get("trigger", "level")
        if trigger not in {"level", "edge"}:
            raise self.fail(element, "trigger must be either 'level' or 'edge'")
        return Interrupt(self.number(element, "irq"), self.channel_id(element), trigger == "edge")

    def parts(self, element: _Element, stack_size: int) -> _Parts:
        """Read a domain's own children elements; its child domains come later."""
        parts = _Parts()
        for child in element.children:
            if child.name == "program_image":
                self.check(child, "path")
                parts.programs.append(self.text(child, "path"))
            elif child.name == "map":
                one, variables = self.map(child, stack_size)
                parts.maps.append(one)
                parts.setvars.extend(variables)
            elif child.name == "irq":
                parts.interrupts.append(self.interrupt(child))
            elif child.name == "setvar":
                self.check(child, "symbol", "region_paddr")
                parts.setvars.append(SetVar(self.text(child, "symbol"), "paddr", self.text(child, "region_paddr"), 0))
            elif child.name == "virtual_machine":
                raise self.fail(child, "virtual machines are not supported by the stand-in kernel")
            elif child.name != "protection_domain":
                raise self.fail(child, "invalid XML element")
        return parts

    def schedule(self, element: _Element) -> tuple[int, int, int]:
        """Priority, budget and period of a domain."""
        budget = self.number(element, "budget", DEFAULT_BUDGET_US)
        period = self.number(element, "period", budget)
        if budget > period or budget == 0:
            raise self.fail(element, f"budget ({budget}) must be positive and at most the period ({period})")
        priority = self.number(element, "priority", 0)
        if priority > MAX_PRIORITY:
            raise self.fail(element, f"priority must be between 0 and {MAX_PRIORITY}")
        return priority, budget, period

    def domain(self, element: _Element, parent: int | None) -> None:
        """Append the domain and, behind it, its children."""
        known = ("name", "priority", "budget", "period", "passive", "stack_size", "smc")
        self.check(element, *known, *(() if parent is None else ("id",)))
        name = self.text(element, "name")
        priority, budget, period = self.schedule(element)
        stack_size = self.number(element, "stack_size", PAGE)
        if not PAGE <= stack_size <= MAX_STACK or stack_size % PAGE:
            raise self.fail(element, f"stack size must be whole pages between {PAGE:#x} and {MAX_STACK:#x} bytes")
        if self.boolean(element, "smc", default=False):
            raise self.fail(element, "smc is not supported by the stand-in kernel")

        parts = self.parts(element, stack_size)
        if len(parts.programs) != 1:
            raise self.fail(element, f"'{name}' needs exactly one program_image")
        symbols = [variable.symbol for variable in parts.setvars]
        for symbol in symbols:
            if symbols.count(symbol) > 1:
                raise self.fail(element, f"setvar on symbol '{symbol}' already exists")

        index = len(self.domains)
        self.domains.append(
            Domain(
                name=name,
                priority=priority,
                budget_us=budget,
                period_us=period,
                passive=self.boolean(element, "passive", default=False),
                stack_size=stack_size,
                program=parts.programs[0],
                maps=tuple(parts.maps),
                interrupts=tuple(parts.interrupts),
                setvars=tuple(parts.setvars),
                parent=parent,
                id=None if parent is None else self.channel_id(element),
            )
        )
        children = [child for child in element.children if child.name == "protection_domain"]
        for child in children:
            self.domain(child, index)
        ids = [child.attributes.get("id") for child in children]
        if len(set(ids)) != len(ids):
            raise self.fail(element, f"duplicate child id in protection domain '{name}'")

    def end(self, element: _Element) -> End:
        if element.name != "end":
            raise self.fail(element, "invalid XML element")
        self.check(element, "pd", "id", "pp", "notify")
        name = self.text(element, "pd")
        for index, domain in enumerate(self.domains):
            if domain.name == name:
                notify = self.boolean(element, "notify", default=True)
                return End(index, self.channel_id(element), notify, self.boolean(element, "pp", default=False))
        raise self.fail(element, f"invalid PD name '{name}'")

    def channel(self, element: _Element) -> Channel:
        self.check(element)
        if len(element.children) != 2:  # noqa: PLR2004 - a channel has two ends
            raise self.fail(element, "exactly two end elements must be specified")
        a, b = (self.end(child) for child in element.children)
        if a.call and b.call:
            raise self.fail(element, "cannot ppc bidirectionally")
        for caller, callee in ((a, b), (b, a)):
            if caller.call and self.domains[caller.domain].priority >= self.domains[callee.domain].priority:
                raise self.fail(element, "PPCs must be to protection domains of strictly higher priorities")
        return Channel(a, b)

    def system(self, root: _Element) -> System:
        if root.name != "system":
            raise self.fail(root, "the root element must be 'system'")
        regions: list[Region] = []
        for element in root.children:
            if element.name == "protection_domain":
                self.domain(element, None)
            elif element.name == "memory_region":
                regions.append(self.region(element))
            elif element.name != "channel":
                raise self.fail(element, "invalid XML element")
        channels = [self.channel(element) for element in root.children if element.name == "channel"]
        system = System(tuple(self.domains), tuple(regions), tuple(channels))
        _check_whole(system, self.filename)
        return system


def _unique(names: list[str], what: str, filename: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise SystemFileError(f"{filename}: duplicate {what} '{name}'")


def _check_maps(domain: Domain, regions: dict[str, Region], filename: str) -> None:
    taken: list[tuple[int, int, str]] = []
    for item in domain.maps:
        region = regions.get(item.region)
        if region is None:
            raise SystemFileError(f"{filename}: '{domain.name}' maps unknown memory region '{item.region}'")
        if item.vaddr % region.page_size:
            raise SystemFileError(f"{filename}: '{domain.name}': vaddr of '{item.region}' is not aligned")
        end = item.vaddr + region.size
        for start, stop, other in taken:
            if item.vaddr < stop and start < end:
                raise SystemFileError(f"{filename}: '{domain.name}': '{item.region}' overlaps '{other}'")
        taken.append((item.vaddr, end, item.region))


def _check_setvars(domain: Domain, regions: dict[str, Region], filename: str) -> None:
    for variable in domain.setvars:
        if variable.region not in regions:
            raise SystemFileError(f"{filename}: setvar '{variable.symbol}': unknown region '{variable.region}'")
        if variable.kind == "paddr" and regions[variable.region].phys_addr is None:
            raise SystemFileError(f"{filename}: setvar '{variable.symbol}': region has no phys_addr")


def _check_whole(system: System, filename: str) -> None:
    """Rules about the system as a whole."""
    if not 0 < len(system.domains) <= MAX_DOMAINS:
        raise SystemFileError(f"{filename}: between 1 and {MAX_DOMAINS} protection domains must be defined")
    _unique([domain.name for domain in system.domains], "protection domain name", filename)
    _unique([region.name for region in system.regions], "memory region name", filename)
    _unique([str(item.irq) for domain in system.domains for item in domain.interrupts], "irq", filename)

    ids = [(index, item.id) for index, domain in enumerate(system.domains) for item in domain.interrupts]
    ids += [(end.domain, end.id) for channel in system.channels for end in (channel.a, channel.b)]
    for domain, number in ids:
        if ids.count((domain, number)) > 1:
            raise SystemFileError(f"{filename}: duplicate channel id {number} in '{system.domains[domain].name}'")

    regions = {region.name: region for region in system.regions}
    for item_domain in system.domains:
        _check_maps(item_domain, regions, filename)
        _check_setvars(item_domain, regions, filename)

    fixed = sorted((r.phys_addr, r.phys_addr + r.size, r.name) for r in system.regions if r.phys_addr is not None)
    for (_, stop, name), (start, _, other) in pairwise(fixed):
        if start < stop:
            raise SystemFileError(f"{filename}: memory regions '{name}' and '{other}' overlap in physical memory")


def parse_system(path: Path) -> System:
    """Read and check a system description; SystemFileError says where and why not."""
    try:
        text = path.read_text()
    except OSError as error:
        raise SystemFileError(f"{path}: {error.strerror}") from error
    return _Reader(str(path)).system(_read_xml(text, str(path)))
