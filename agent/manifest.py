# SPDX-License-Identifier: Apache-2.0
"""The manifest of a module: what it is called, what it needs, what it may do.

People write TOML; the module carries deterministic CBOR (RFC 8949 section 4.2) in its custom section `wasel.manifest`.
Both have the same names. The fields follow SUIT's information model (RFC 9124): `sequence` is its monotonic sequence
number (3.1), `v` the structure version (3.1), `device_class` the class identifier (3.4), `size` the size (3.12),
`version` the version (3.6); digest and authenticity come with the signature over the whole file (agent.signing).

Contract: parsing is pure and either returns a checked manifest or raises ManifestError, naming the field. Unknown keys
are refused: a limit that an older reader would skip is no limit. A device checks the same things again, in C
(sel4_bridge/supervisor/manifest.c); its maxima are generated from LIMITS.

Example::

    name = "thermostat"
    version = "1.2.0"
    sequence = 7
    arena = 1048576             # bytes
    [policy]
    dirs = ["/data", "/etc:ro"]
    random = false
    [policy.limits]
    files = 8
    [health]
    alive_s = 10
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import cbor2

from agent.errors import RefusedError

__all__ = ["LIMITS", "MANIFEST_VERSION", "Health", "Manifest", "ManifestError", "Policy"]

MANIFEST_VERSION = 1
"""Of the encoding, key `v`."""

LIMITS = {
    "NAME": 64,  # bytes
    "VERSION": 32,  # bytes
    "CLASS": 32,  # bytes
    "TEXT": 256,  # bytes of a string of env, policy or health
    "STRINGS": 64,  # strings of env, and of policy
    "MANIFEST": 8192,  # bytes of the encoded manifest
    "SEQUENCE": (1 << 63) - 1,
    "FUEL": (1 << 63) - 1,  # instructions
    "ARENA": 1 << 30,  # bytes; a device has less and says so
    "STACK": 16 << 20,  # bytes of call frames
    "PERIOD_US": 1_000_000,
    "HEALTH_S": 86_400,
    "EXIT": 255,
}

NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
CLASS = re.compile(r"[a-z0-9][a-z0-9._-]*")
VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+([-+][0-9A-Za-z.+-]+)?")
SOCKET = re.compile(r"(tcp|udp):[^:,\s]+:[0-9]{1,5}")


class ManifestError(RefusedError):
    """The manifest is malformed, or a value is not allowed; the text names the field."""


def _unsigned(name: str, value: object, most: int, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ManifestError(f"manifest: {name} is {value!r}: a whole number from {least} to {most} is needed")
    return value


def _text(name: str, value: object, most: int, pattern: re.Pattern[str] | None = None) -> str:
    if not isinstance(value, str) or not value or len(value.encode()) > most or "\0" in value:
        raise ManifestError(f"manifest: {name}: a text of 1 to {most} bytes is needed")
    if pattern is not None and not pattern.fullmatch(value):
        raise ManifestError(f"manifest: {name} is {value!r}: it must look like {pattern.pattern}")
    return value


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise ManifestError(f"manifest: {name} is {value!r}: true or false is needed")
    return value


def _list(name: str, value: object) -> list[Any]:
    if not isinstance(value, list) or len(value) > LIMITS["STRINGS"]:
        raise ManifestError(f"manifest: {name}: a list of at most {LIMITS['STRINGS']} is needed")
    return value


def _table(name: str, value: object, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ManifestError(f"manifest: {name}: a table is needed")
    unknown = sorted(str(key) for key in value if key not in known)
    if unknown:
        raise ManifestError(f"manifest: {name}: unknown key {unknown[0]!r}; known are {', '.join(sorted(known))}")
    return value


@dataclass(frozen=True)
class Health:
    """How a new version shows that it works: exactly one of the first three."""

    exit: int | None = None
    """It ends with this exit code."""
    line: str | None = None
    """It writes this line to standard output."""
    alive_s: int | None = None
    """It runs for so long."""
    timeout_s: int | None = None
    """Seconds for `exit` and `line`; without it the device's default, 60 s."""

    NUMBERS: ClassVar[dict[str, tuple[int, int]]] = {
        "exit": (0, LIMITS["EXIT"]),
        "alive_s": (1, LIMITS["HEALTH_S"]),
        "timeout_s": (1, LIMITS["HEALTH_S"]),
    }
    """Least and most of each."""

    @classmethod
    def parse(cls, value: object) -> Health:
        """Check a table of these fields."""
        table = _table("health", value, {item.name for item in fields(cls)})
        if len(table.keys() & {"exit", "line", "alive_s"}) != 1:
            raise ManifestError("manifest: health: exactly one of exit, line, alive_s is needed")
        if "alive_s" in table and "timeout_s" in table:
            raise ManifestError("manifest: health: timeout_s does not go with alive_s")
        values: dict[str, Any] = {
            name: _unsigned(f"health.{name}", table[name], most, least)
            for name, (least, most) in cls.NUMBERS.items()
            if name in table
        }
        if "line" in table:
            values["line"] = _text("health.line", table["line"], LIMITS["TEXT"])
        return cls(**values)

    def table(self) -> dict[str, int | str]:
        """Give the fields that are set."""
        return {item.name: value for item in fields(self) if (value := getattr(self, item.name)) is not None}


@dataclass(frozen=True)
class Policy:
    """What the module may use beyond standard output, clocks and random numbers, and where it is limited.

    In CBOR it is a list of words, the same as a start request's `grants` (docs/wasi-calls.md). A device that does not
    know a word refuses the module.
    """

    dirs: tuple[str, ...] = ()
    """Directories "/path" to read and write, "/path:ro" to read."""
    clocks: bool = True
    """Whether it may read clocks; waiting is always possible."""
    random: bool = True
    """Whether it may draw random numbers."""
    publish: tuple[str, ...] = ()
    """Topics that it may publish, below the device's own prefix."""
    subscribe: tuple[str, ...] = ()
    """Topics that it may read, below the device's own prefix."""
    sockets: tuple[str, ...] = ()
    """Destinations "tcp:host:port" or "udp:host:port"."""
    listen: tuple[str, ...] = ()
    """Where it may be a server, on the agent's machine; the same form."""
    files: int | None = None
    """Open descriptors, the three streams included."""
    bytes: int | None = None
    """Bytes stored."""
    output: int | None = None
    """Bytes of output per second."""
    resolution: int | None = None
    """Nanoseconds: clocks go in steps of that."""

    LISTS: ClassVar[tuple[tuple[str, str], ...]] = (
        ("dirs", "dir"),
        ("publish", "publish"),
        ("subscribe", "subscribe"),
        ("sockets", "connect"),
        ("listen", "listen"),
    )
    FLAGS: ClassVar[tuple[str, ...]] = ("clocks", "random")
    NUMBERS: ClassVar[tuple[str, ...]] = ("files", "bytes", "output", "resolution")
    MOST_NUMBER: ClassVar[int] = (1 << 32) - 1
    MOST_TEXT: ClassVar[int] = LIMITS["TEXT"] - 16
    """Bytes of an item of the lists; its word comes before it."""

    def __post_init__(self) -> None:
        """Check every value, wherever it came from."""
        for name, _ in self.LISTS:
            for item in getattr(self, name):
                pattern = SOCKET if name in {"sockets", "listen"} else None
                _text(f"policy.{name}", item, self.MOST_TEXT, pattern)
                if ".." in item.split("/"):
                    raise ManifestError(f"manifest: policy.{name}: {item!r} leads out of its directory")
        for name in self.NUMBERS:
            if getattr(self, name) is not None:
                _unsigned(f"policy.limits.{name}", getattr(self, name), self.MOST_NUMBER)

    @classmethod
    def parse(cls, value: object) -> Policy:
        """Check the table of a TOML file."""
        lists, flags, numbers = {name for name, _ in cls.LISTS}, set(cls.FLAGS), set(cls.NUMBERS)
        table = _table("policy", value, lists | flags | {"limits"})
        limits = _table("policy.limits", table.get("limits", {}), numbers)
        values: dict[str, Any] = dict(limits)
        values |= {name: tuple(_list(f"policy.{name}", table[name])) for name in lists & table.keys()}
        values |= {name: _flag(f"policy.{name}", table[name]) for name in flags & table.keys()}
        return cls(**values)

    @property
    def words(self) -> tuple[str, ...]:
        """The policy as words."""
        words = [f"{word}={item}" for name, word in self.LISTS for item in getattr(self, name)]
        words += [f"{name}=off" for name in self.FLAGS if not getattr(self, name)]
        words += [f"{name}={getattr(self, name)}" for name in self.NUMBERS if getattr(self, name) is not None]
        return tuple(words)

    @classmethod
    def from_words(cls, words: list[Any]) -> Policy:
        """Read words back; ManifestError for one that is unknown."""
        values: dict[str, Any] = {}
        lists = {word: name for name, word in cls.LISTS}
        for item in words:
            key, _, value = _text("policy", item, LIMITS["TEXT"]).partition("=")
            if key in lists:
                values[lists[key]] = (*values.get(lists[key], ()), value)
            elif key in cls.FLAGS and value == "off":
                values[key] = False
            elif key in cls.NUMBERS and value.isascii() and value.isdigit():
                values[key] = int(value)
            else:
                raise ManifestError(f"manifest: policy: unknown word {item!r}")
        return cls(**values)


@dataclass(frozen=True)
class Manifest:
    """A checked manifest. None is "not said": the device's default."""

    name: str
    """The program's name."""
    version: str
    """For people: MAJOR.MINOR.PATCH. Devices compare `sequence`."""
    sequence: int
    """Grows with every release of this module; a device refuses to go below the highest it confirmed."""
    downgrade_from: int | None = None
    """Permission to replace modules up to this sequence number although they are newer; at least `sequence`."""
    device_class: str | None = None
    """It runs on devices of this class alone."""
    slot_class: str | None = None
    """It runs in slots of this class alone."""
    arena: int | None = None
    """Bytes that it may use; without it all that the slot has."""
    stack: int | None = None
    """Bytes of call frames; without it a sixteenth of what memory and tables leave of the arena, 4 to 64 KiB."""
    fuel: int | None = None
    """Instructions per start; without it unlimited. A start request may ask for less."""
    budget_us: int | None = None
    """Microseconds of CPU in each period, at most `period_us`, which it goes with."""
    period_us: int | None = None
    """Microseconds."""
    env: tuple[str, ...] = ()
    """"K=V" each; a start request may say otherwise."""
    policy: Policy = field(default_factory=Policy)
    """What it may use."""
    health: Health | None = None
    """How a new version shows that it works."""

    TEXTS: ClassVar[dict[str, tuple[int, re.Pattern[str]]]] = {
        "name": (LIMITS["NAME"], NAME),
        "version": (LIMITS["VERSION"], VERSION),
        "device_class": (LIMITS["CLASS"], CLASS),
        "slot_class": (LIMITS["CLASS"], CLASS),
    }
    """Most bytes of each, and what it must look like."""
    NUMBERS: ClassVar[dict[str, tuple[int, int]]] = {
        "sequence": (1, LIMITS["SEQUENCE"]),
        "downgrade_from": (1, LIMITS["SEQUENCE"]),
        "arena": (65_536, LIMITS["ARENA"]),
        "stack": (1_024, LIMITS["STACK"]),
        "fuel": (1, LIMITS["FUEL"]),
        "budget_us": (1, LIMITS["PERIOD_US"]),
        "period_us": (1, LIMITS["PERIOD_US"]),
    }
    """Least and most of each."""
    REQUIRED: ClassVar[frozenset[str]] = frozenset({"name", "version", "sequence"})

    def __post_init__(self) -> None:
        """Check every value, wherever it came from."""
        for name, (size, pattern) in self.TEXTS.items():
            if getattr(self, name) is not None or name in self.REQUIRED:
                _text(name, getattr(self, name), size, pattern)
        for name, (least, most) in self.NUMBERS.items():
            if getattr(self, name) is not None or name in self.REQUIRED:
                _unsigned(name, getattr(self, name), most, least)
        if (self.budget_us is None) != (self.period_us is None):
            raise ManifestError("manifest: budget_us and period_us go together")
        if self.budget_us is not None and self.period_us is not None and self.budget_us > self.period_us:
            raise ManifestError(f"manifest: budget_us {self.budget_us} is more than period_us {self.period_us}")
        if self.downgrade_from is not None and self.downgrade_from < self.sequence:
            raise ManifestError("manifest: downgrade_from is below sequence: it would allow nothing")
        names = set()
        for entry in self.env:
            key, equals, _ = _text("env", entry, LIMITS["TEXT"]).partition("=")
            if not key or not equals or key in names:
                raise ManifestError(f"manifest: env {entry!r}: each is NAME=VALUE, and each NAME comes once")
            names.add(key)

    @classmethod
    def _parse(cls, table: dict[str, Any]) -> Manifest:
        plain = {*cls.TEXTS, *cls.NUMBERS}
        missing = cls.REQUIRED - table.keys()
        if missing:
            raise ManifestError(f"manifest: {min(missing)} is missing")
        return cls(
            **{name: table[name] for name in plain & table.keys()},
            env=tuple(_list("env", table.get("env", []))),
            policy=table.get("policy", Policy()),
            health=Health.parse(table["health"]) if "health" in table else None,
        )

    @classmethod
    def from_toml(cls, text: str) -> Manifest:
        """Read what a person wrote. ManifestError."""
        try:
            value = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ManifestError(f"manifest: not TOML: {error}") from error
        table = _table("the file", value, {item.name for item in fields(cls)})
        if "policy" in table:
            table["policy"] = Policy.parse(table["policy"])
        if isinstance(env := table.get("env"), dict):
            table["env"] = [f"{key}={item}" for key, item in env.items()]
        return cls._parse(table)

    def table(self) -> dict[str, Any]:
        """Give the fields that are set, as plain values."""
        table: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "policy":
                value = list(self.policy.words)
            elif item.name == "health":
                value = self.health.table() if self.health else None
            elif item.name == "env":
                value = list(self.env)
            if value is not None and value != []:
                table[item.name] = value
        return table

    def to_cbor(self, size: int) -> bytes:
        """Encode for a module whose bytes before the manifest's section are `size`."""
        table: dict[str, Any] = {"v": MANIFEST_VERSION, "size": size, **self.table()}
        data: bytes = cbor2.dumps(table, canonical=True)
        if len(data) > LIMITS["MANIFEST"]:
            raise ManifestError(f"manifest: {len(data)} bytes encoded, at most {LIMITS['MANIFEST']} are possible")
        return data

    @classmethod
    def from_cbor(cls, data: bytes, size: int) -> Manifest:
        """Decode a section's content; `size` is the number of bytes before the section. ManifestError."""
        if len(data) > LIMITS["MANIFEST"]:
            raise ManifestError(f"manifest: {len(data)} bytes, at most {LIMITS['MANIFEST']} are possible")
        try:
            value = cbor2.loads(data)
            again = cbor2.dumps(value, canonical=True)
        except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
            raise ManifestError("manifest: not CBOR") from error
        if again != data:
            raise ManifestError("manifest: not deterministic CBOR: a key comes twice, out of order, or is written long")
        table = dict(_table("the section", value, {item.name for item in fields(cls)} | {"v", "size"}))
        if table.pop("v", None) != MANIFEST_VERSION:
            raise ManifestError(f"manifest: its version is not {MANIFEST_VERSION}: this wasel is too old, or too new")
        if table.pop("size", None) != size:
            raise ManifestError(f"manifest: size is not {size}, the number of bytes before its section")
        if "policy" in table:
            table["policy"] = Policy.from_words(_list("policy", table["policy"]))
        return cls._parse(table)
