# SPDX-License-Identifier: Apache-2.0
"""Bodies of the MQTT messages, protocol version 1: CBOR maps with text keys and "v": 1 (docs/PROTOCOL.md).

Contract: `parse` takes bytes from anybody and gives a checked object or raises `MessageError`: other versions, unknown
keys (where the message commands something), wrong types and sizes over the maxima below are refused. Messages are keyed
by digest, offset and sequence, so a doubled or old one is recognised by its content; nothing here keeps state.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import cbor2
import google_crc32c

from agent.errors import MessageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = [
    "ACTIONS",
    "KEYS",
    "Ack",
    "Chunk",
    "Command",
    "Desired",
    "DesiredSlot",
    "Get",
    "LogLine",
    "Metrics",
    "Progress",
    "SlotReport",
    "State",
    "slice_module",
]

VERSION = 1
MAX_BODY = 256 * 1024
"""Bytes of any message."""
MAX_CHUNK = 60 * 1024
"""Bytes of data in a chunk."""
MAX_MODULE = 64 << 20
"""Bytes of a module; a device has its own, smaller limit."""
MAX_WINDOW = 64
"""Chunks asked for in one message."""
MAX_SLOTS = 64
MAX_STRINGS = 256
"""Arguments and environment entries together."""
MAX_STRINGS_SIZE = 16000
"""Bytes of all of them."""
MAX_TEXT = 4096
"""Characters of any other text."""
MAX_COUNTERS = 64
"""Of a slot in one `met`."""
MAX_NAME = 64
"""Characters of a counter's name."""
DIGEST_SIZE = 32
ID_SIZE = 8
"""Bytes that tell agents' processes, and commands, from one another."""
ACTIONS = ("ping", "start", "stop", "trace", "untrace")
"""What a `cmd` may ask for."""
STATES = ("empty", "stopped", "running", "exited", "trapped", "refused")


def _load(body: bytes, what: str) -> _Fields:
    if len(body) > MAX_BODY:
        raise MessageError(f"{what}: {len(body)} bytes is over {MAX_BODY}")
    try:
        data = cbor2.loads(body)
    except (cbor2.CBORDecodeError, ValueError, TypeError, RecursionError, OverflowError) as error:
        raise MessageError(f"{what}: not CBOR: {error}") from error
    fields = _Fields(what, data)
    version = fields.unsigned("v", 1 << 32)
    if version != VERSION:
        raise MessageError(f"{what}: protocol version {version}, this side speaks {VERSION}: update the older one")
    return fields


class _Fields:
    """One map of a message; each getter checks type and bound and marks the key as known."""

    def __init__(self, what: str, data: Any) -> None:
        if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
            raise MessageError(f"{what}: not a map with text keys")
        self._what = what
        self._data: dict[str, Any] = dict(data)

    def _take(self, key: str, default: Any, good: Callable[[Any], bool]) -> Any:
        value = self._data.pop(key, None)
        if value is None:
            if default is _REQUIRED:
                raise MessageError(f"{self._what}: {key} is missing")
            return default
        if not good(value):
            raise MessageError(f"{self._what}: {key} is not allowed: {value!r:.60}")
        return value

    def unsigned(self, key: str, limit: int, default: Any = ...) -> int:
        return int(self._take(key, default, lambda v: type(v) is int and 0 <= v < limit))

    def optional_int(self, key: str) -> int | None:
        value = self._take(key, None, lambda v: type(v) is int and -(1 << 31) <= v < 1 << 32)
        return None if value is None else int(value)

    def flag(self, key: str, default: Any = ...) -> bool:
        return bool(self._take(key, default, lambda v: isinstance(v, bool)))

    def text(self, key: str, default: Any = ...) -> str:
        return str(self._take(key, default, lambda v: isinstance(v, str) and len(v) <= MAX_TEXT))

    def optional_text(self, key: str) -> str | None:
        value = self._take(key, None, lambda v: isinstance(v, str) and len(v) <= MAX_TEXT)
        return None if value is None else str(value)

    def binary(self, key: str, limit: int) -> bytes:
        return bytes(self._take(key, ..., lambda v: isinstance(v, bytes) and len(v) <= limit))

    def digest(self, key: str) -> bytes:
        return bytes(self._take(key, ..., lambda v: isinstance(v, bytes) and len(v) == DIGEST_SIZE))

    def optional_digest(self, key: str) -> bytes | None:
        value = self._take(key, None, lambda v: isinstance(v, bytes) and len(v) == DIGEST_SIZE)
        return None if value is None else bytes(value)

    def id(self, key: str, default: Any = ...) -> bytes:
        return bytes(self._take(key, default, lambda v: isinstance(v, bytes) and len(v) == ID_SIZE))

    def optional_flag(self, key: str) -> bool | None:
        value = self._take(key, None, lambda v: isinstance(v, bool))
        return None if value is None else bool(value)

    def optional_unsigned(self, key: str) -> int | None:
        value = self._take(key, None, lambda v: type(v) is int and 0 <= v < 1 << 64)
        return None if value is None else int(value)

    def strings(self, key: str) -> tuple[str, ...]:
        def good(value: Any) -> bool:
            return (
                isinstance(value, list)
                and len(value) <= MAX_STRINGS
                and all(isinstance(v, str) and "\0" not in v for v in value)
                and sum(len(v.encode("utf-8", "replace")) + 1 for v in value) <= MAX_STRINGS_SIZE
            )

        return tuple(self._take(key, (), good))

    def list(self, key: str) -> list[_Fields]:
        values = self._take(key, (), lambda v: isinstance(v, list) and len(v) <= MAX_SLOTS)
        return [_Fields(f"{self._what}: {key}", value) for value in values]

    def by_slot(self, key: str) -> dict[int, Any]:
        def good(value: Any) -> bool:
            return (
                isinstance(value, dict)
                and len(value) <= MAX_SLOTS
                and all(type(slot) is int and 0 <= slot < MAX_SLOTS for slot in value)
            )

        return dict(self._take(key, {}, good))

    def end(self) -> None:
        """Refuse keys that nobody asked for."""
        if self._data:
            raise MessageError(f"{self._what}: unknown key {next(iter(self._data))!r:.40}")


_REQUIRED = ...


def _dump(fields: Mapping[str, Any]) -> bytes:
    return cbor2.dumps({"v": VERSION} | {key: value for key, value in fields.items() if value is not None})


@lru_cache(maxsize=256)
def _config(name: str, args: tuple[str, ...], env: tuple[str, ...]) -> str:
    return hashlib.sha256(cbor2.dumps([name, list(args), list(env)])).hexdigest()


@dataclass(frozen=True)
class DesiredSlot:
    """What one slot should run."""

    digest: bytes
    size: int
    """Bytes of the module."""
    args: tuple[str, ...] = ()
    """After the program's name."""
    env: tuple[str, ...] = ()
    """"K=V" each."""
    name: str = "module"
    """The program's name, its argument 0."""

    def config(self) -> str:
        """Hash of everything besides the module itself."""
        return _config(self.name, self.args, self.env)


@dataclass(frozen=True)
class Desired:
    """Desired state of a device; a higher sequence replaces a lower one."""

    sequence: int
    slots: dict[int, DesiredSlot] = field(default_factory=dict)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "desired")
        sequence = fields.unsigned("sequence", 1 << 63)
        slots = {}
        for slot, value in fields.by_slot("slots").items():
            entry = _Fields(f"desired: slot {slot}", value)
            slots[slot] = DesiredSlot(
                digest=entry.digest("digest"),
                size=entry.unsigned("size", MAX_MODULE + 1),
                args=entry.strings("args"),
                env=entry.strings("env"),
                name=entry.text("name", "module"),
            )
            entry.end()
            if not all(variable.find("=") > 0 for variable in slots[slot].env):
                raise MessageError(f"desired: slot {slot}: env is not a list of K=V")
            if slots[slot].size == 0:
                raise MessageError(f"desired: slot {slot}: size is 0")
        fields.end()
        return cls(sequence, slots)

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(
            {
                "sequence": self.sequence,
                "slots": {
                    slot: {
                        "digest": entry.digest,
                        "size": entry.size,
                        "args": list(entry.args),
                        "env": list(entry.env),
                        "name": entry.name,
                    }
                    for slot, entry in self.slots.items()
                },
            }
        )


@dataclass(frozen=True)
class SlotReport:
    """One slot as the agent last saw it on the device."""

    slot: int
    state: str
    digest: bytes | None = None
    size: int = 0
    exit: int | None = None
    trap: str | None = None
    error: str | None = None
    backtrace: str | None = None
    starts: int = 0
    log_next: int = 0
    memory: int = 0
    bookkeeping: int = 0
    confirmed: bool | None = None
    """Whether the module stays at the next start; None: no module, or not known."""
    signed: bool | None = None
    name: str | None = None
    """This and the next three from the manifest of a signed module."""
    version: str | None = None
    release: int | None = None
    """The manifest's sequence number, which is not that of the desired state."""
    key: bytes | None = None
    """Id of the key that signed it."""
    reason: str | None = None
    """Why it is stopped, if nobody asked for it."""
    budget: int | None = None
    """Percent of the CPU that it may use."""
    period_us: int | None = None
    tier: str | None = None
    """What runs it: "interpreter" or "native"."""


@dataclass(frozen=True)
class Progress:
    """A module on its way into a slot."""

    digest: bytes
    offset: int
    size: int
    phase: str
    """"pull" (broker to agent) or "push" (agent to device)."""


@dataclass(frozen=True)
class State:
    """What an agent reports of its device."""

    online: bool
    device: str
    sequence: int = 0
    """Of the last desired state that was carried out (or failed, see errors)."""
    accepted: int = 0
    """Of the last desired state that the agent took; it ignores lower ones."""
    link: bool = False
    """The device answers."""
    kernel: str = ""
    version: str = ""
    slots: tuple[SlotReport, ...] = ()
    progress: dict[int, Progress] = field(default_factory=dict)
    errors: dict[int, str] = field(default_factory=dict)
    """Why a slot is not as the desired state of `sequence` wants it."""
    arena: int = 0
    """Bytes that a module may use on the device; 0: unknown."""
    image: str = ""
    """Of the device: "development" or "release"; "" while unknown."""
    device_class: str = ""
    """Of the device, that of manifests; "" while unknown."""
    native: str = ""
    """Machine whose native code the device runs; "": none, or unknown."""
    boot: bytes = bytes(ID_SIZE)
    """Random, of the agent's process."""
    report: int = 0
    """Counts the reports of that process; 0: the will, which comes whenever the broker sends it."""

    @staticmethod
    def place(body: bytes) -> tuple[bytes, int]:
        """Give `boot` and `report` alone, which say whether the rest counts. MessageError."""
        fields = _load(body, "state")
        return fields.id("boot", bytes(ID_SIZE)), fields.unsigned("report", 1 << 63, 0)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message; keys of newer agents are ignored."""
        fields = _load(body, "state")
        progress = {}
        for slot, value in fields.by_slot("progress").items():
            entry = _Fields(f"state: progress of slot {slot}", value)
            progress[slot] = Progress(
                entry.digest("digest"),
                entry.unsigned("offset", MAX_MODULE + 1),
                entry.unsigned("size", MAX_MODULE + 1),
                entry.text("phase", "push"),
            )
        errors = {slot: str(text)[:MAX_TEXT] for slot, text in fields.by_slot("errors").items()}
        return cls(
            online=fields.flag("online"),
            device=fields.text("device"),
            sequence=fields.unsigned("sequence", 1 << 63, 0),
            accepted=fields.unsigned("accepted", 1 << 63, 0),
            link=fields.flag("link", default=False),
            kernel=fields.text("kernel", ""),
            version=fields.text("version", ""),
            arena=fields.unsigned("arena", 1 << 63, 0),
            image=fields.text("image", ""),
            device_class=fields.text("class", ""),
            native=fields.text("native", ""),
            boot=fields.id("boot", bytes(ID_SIZE)),
            report=fields.unsigned("report", 1 << 63, 0),
            slots=tuple(map(_slot_report, fields.list("slots"))),
            progress=progress,
            errors=errors,
        )

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(
            {
                "online": self.online,
                "device": self.device,
                "sequence": self.sequence,
                "accepted": self.accepted,
                "link": self.link,
                "kernel": self.kernel,
                "version": self.version,
                "arena": self.arena,
                "image": self.image,
                "class": self.device_class,
                "boot": self.boot,
                "report": self.report,
                "slots": [{k: v for k, v in vars(slot).items() if v is not None} for slot in self.slots],
                "progress": {slot: vars(entry) for slot, entry in self.progress.items()},
                "errors": self.errors,
            }
            | ({"native": self.native} if self.native else {})
        )


def _slot_report(fields: _Fields) -> SlotReport:
    state = fields.text("state")
    if state not in STATES:
        raise MessageError(f"state: a slot is {state!r:.40}")
    return SlotReport(
        slot=fields.unsigned("slot", MAX_SLOTS),
        state=state,
        digest=fields.optional_digest("digest"),
        size=fields.unsigned("size", 1 << 63, 0),
        exit=fields.optional_int("exit"),
        trap=fields.optional_text("trap"),
        error=fields.optional_text("error"),
        backtrace=fields.optional_text("backtrace"),
        starts=fields.unsigned("starts", 1 << 63, 0),
        log_next=fields.unsigned("log_next", 1 << 63, 0),
        memory=fields.unsigned("memory", 1 << 63, 0),
        bookkeeping=fields.unsigned("bookkeeping", 1 << 63, 0),
        confirmed=fields.optional_flag("confirmed"),
        signed=fields.optional_flag("signed"),
        name=fields.optional_text("name"),
        version=fields.optional_text("version"),
        release=fields.optional_unsigned("release"),
        key=fields.optional_digest("key"),
        reason=fields.optional_text("reason"),
        budget=fields.optional_unsigned("budget"),
        period_us=fields.optional_unsigned("period_us"),
        tier=fields.optional_text("tier"),
    )


@dataclass(frozen=True)
class Get:
    """Ask for `window` consecutive chunks of `length` bytes from `offset` on (the last may be shorter)."""

    digest: bytes
    offset: int
    length: int
    window: int

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "get")
        get = cls(
            fields.digest("digest"),
            fields.unsigned("offset", MAX_MODULE),
            fields.unsigned("length", MAX_CHUNK + 1),
            fields.unsigned("window", MAX_WINDOW + 1),
        )
        fields.end()
        if get.length == 0 or get.window == 0:
            raise MessageError("get: length or window is 0")
        return get

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(vars(self))


@dataclass(frozen=True)
class Chunk:
    """Bytes of a module, with their CRC-32C as `crc`."""

    digest: bytes
    """Of the whole module."""
    offset: int
    data: bytes

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message and its CRC-32C."""
        fields = _load(body, "chunk")
        chunk = cls(fields.digest("digest"), fields.unsigned("offset", MAX_MODULE), fields.binary("data", MAX_CHUNK))
        crc = fields.unsigned("crc", 1 << 32)
        fields.end()
        if google_crc32c.value(chunk.data) != crc:
            raise MessageError(f"chunk: checksum at offset {chunk.offset}")
        return chunk

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(vars(self) | {"crc": google_crc32c.value(self.data)})


@dataclass(frozen=True)
class LogLine:
    """One record of a slot's output."""

    slot: int
    stream: int
    seq: int
    data: bytes
    line: bool
    """A newline followed."""

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "log")
        record = cls(
            fields.unsigned("slot", MAX_SLOTS),
            fields.unsigned("stream", 256),
            fields.unsigned("seq", 1 << 63),
            fields.binary("data", MAX_CHUNK),
            fields.flag("line"),
        )
        fields.end()
        return record

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(vars(self))


@dataclass(frozen=True)
class Metrics:
    """Counters of slots, as the device gives them to `wasel stats`."""

    slots: dict[int, dict[str, int]]

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "met")
        slots: dict[int, dict[str, int]] = {}
        for slot, counters in fields.by_slot("slots").items():
            if not isinstance(counters, dict) or len(counters) > MAX_COUNTERS:
                raise MessageError(f"met: slot {slot}: not a map of at most {MAX_COUNTERS} counters")
            for name, value in counters.items():
                if not isinstance(name, str) or len(name) > MAX_NAME or type(value) is not int or value >> 64:
                    raise MessageError(f"met: slot {slot}: {name!r:.40} is no counter")
            slots[slot] = dict(counters)
        fields.end()
        return cls(slots)

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(vars(self))


@dataclass(frozen=True)
class Command:
    """Something to do once, now; what shall last is a desired state."""

    id: bytes
    """Of the command: one that comes twice is done once."""
    action: str
    """One of ACTIONS."""
    slot: int | None = None
    """For all actions but ping."""

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "cmd")
        number, action = fields.id("id"), fields.text("do")
        slot = fields.optional_unsigned("slot")
        fields.end()
        if action not in ACTIONS:
            raise MessageError(f"cmd: {action!r:.40} is none of {', '.join(ACTIONS)}")
        if (slot is None) != (action == "ping") or (slot or 0) >= MAX_SLOTS:
            raise MessageError(f"cmd: {action} with slot {slot}")
        return cls(number, action, slot)

    def encode(self) -> bytes:
        """Make the message."""
        return _dump({"id": self.id, "do": self.action, "slot": self.slot})


@dataclass(frozen=True)
class Ack:
    """What came of a command."""

    id: bytes
    ok: bool
    error: str | None = None

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Check a message."""
        fields = _load(body, "ack")
        ack = cls(fields.id("id"), fields.flag("ok"), fields.optional_text("error"))
        fields.end()
        return ack

    def encode(self) -> bytes:
        """Make the message."""
        return _dump(vars(self))


KEYS = {"device_class": "class", "action": "do"}
"""Keys of messages that are called otherwise here."""


def slice_module(module: bytes, digest: bytes, get: Get) -> Iterable[Chunk]:
    """Answer a `Get` for a module; other digests and offsets past the end give nothing."""
    if get.digest != digest:
        return
    for offset in range(get.offset, min(get.offset + get.length * get.window, len(module)), get.length):
        yield Chunk(digest, offset, module[offset : offset + get.length])
