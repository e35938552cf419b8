# SPDX-License-Identifier: Apache-2.0
"""SMP messages of group 64, wasel's modules (docs/PROTOCOL.md), in the shape of the `smp` package.

The reference page of the group is made from these classes, and a test compares them with the device's own tables.
Answers of newer devices may carry keys that this version does not know: they are ignored. Texts in answers come from
the module's own side of the device and are data, never terminal control (`agent.text` cleans them for printing).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from smp import error, message
from smp.image_management import ImageManagementErrorV1, ImageManagementErrorV2

__all__ = [
    "COUNTERS",
    "GROUP",
    "TRACE_STREAM",
    "Command",
    "Exchange",
    "ExchangeAnswer",
    "Limits",
    "Logs",
    "LogsAnswer",
    "ModuleError",
    "Rollback",
    "RollbackAnswer",
    "Seed",
    "SlotStatus",
    "Start",
    "StartAnswer",
    "Stats",
    "StatsAnswer",
    "Status",
    "StatusAnswer",
    "Stop",
    "Trace",
    "TraceAnswer",
    "Trust",
    "TrustAnswer",
    "TrustRead",
    "TrustReadAnswer",
    "UploadAnswer",
    "UploadWrite",
]

GROUP = 64
TRACE_STREAM = 3
"""Stream of the log records that a trace makes."""
_LOOSE = ConfigDict(extra="ignore", frozen=True)

_Unsigned = Annotated[int, Field(ge=0, lt=1 << 64)]
_Digest = Annotated[bytes, Field(min_length=32, max_length=32)]


@unique
class Command(IntEnum):
    """Commands of the group."""

    STATUS = 0
    START = 1
    STOP = 2
    LOGS = 3
    STATS = 4
    SEED = 5
    TRUST = 6
    TRACE = 7
    ROLLBACK = 8
    EXCHANGE = 9


@unique
class ModuleError(IntEnum):
    """Error codes of the group."""

    OK = 0
    UNKNOWN = 1
    BAD_MESSAGE = 2
    """A key is missing, comes twice, or has a value that is not allowed."""
    NO_SUCH_SLOT = 3
    SLOT_EMPTY = 4
    """No module to start."""
    SLOT_BUSY = 5
    """It runs, and no candidate is pending."""
    TOO_LARGE = 6
    """More than 256 strings, or 16 KiB of them."""


COUNTERS: dict[str, str] = {
    "calls": "WASI calls of the last run, as of the last report",
    "starts": "starts since boot, without those after failures",
    "start_us": "µs of the last start, from the decision to the module's first instruction",
    "traps": "traps",
    "faults": "faults of the engine's domain",
    "restarts": "restarts of the engine's domain",
    "retries": "starts after failures",
    "timeouts": "runs that `timeout_ms` ended",
    "run_us": "µs between start and end of runs",
    "active_us": "µs of that, neither suspended nor waiting in a call",
    "cpu_us": "µs of that, less what the other slots had",
    "memory": "bytes of linear memory of the last run",
    "bookkeeping": "bytes of the engine's own data of the last run",
    "arena_peak": "most bytes of the arena in use, of all runs",
    "log_records": "records of output",
    "log_bytes": "bytes of output",
    "log_broken": "records that were no records",
    "messages": "WASI calls that reached the wasi domain",
    "messages_refused": "of them, those that no engine of ours sends",
    "messages_pending": 'of them, those answered "not yet"',
    "uart_received": "bytes; this one and all below are the whole device's",
    "uart_sent": "bytes",
    "frames": "whole messages",
    "frames_broken": "lines and frames that were dropped",
    "requests": "requests",
    "requests_refused": "requests that ended in an error",
    "store_errors": "calls that flash or file system failed",
    "save_us": "µs that the last record took to be on flash",
}
"""What `stats` counts since boot, all unsigned; a device may have more."""


class ErrorV1(error.ErrorV1):
    """Error of an SMP version 1 server."""

    _GROUP_ID = GROUP


class ErrorV2(error.ErrorV2[ModuleError]):
    """Error with group and code."""

    _GROUP_ID = GROUP


class _Answer:
    """Base of answers with unknown keys allowed: an error map must not pass for one of them."""

    @model_validator(mode="before")
    @classmethod
    def _no_error(cls, data: object) -> object:
        if isinstance(data, dict) and ("err" in data or data.get("rc")):
            raise ValueError("an error, not an answer")
        return data


class _Group:
    _ErrorV1 = ErrorV1
    _ErrorV2 = ErrorV2


@dataclass(frozen=True)
class Limits:
    """What bounds a run beyond what the slot's class and the module's manifest do."""

    budget_percent: int | None = None
    """Of the CPU, 1 to 100."""
    timeout_ms: int | None = None
    """Wall clock, on the device."""
    restart: Literal["never", "on-failure"] | None = None
    """On failure: after a trap, an exit code other than 0, or the timeout, with longer and longer waits."""


class CandidateStatus(BaseModel):
    """The module of a slot that is not the active one."""

    model_config = _LOOSE

    digest: _Digest
    size: _Unsigned = 0
    pending: bool = False
    """The next start switches to it."""
    confirmed: bool = False
    """It was confirmed when it was the active one: a rollback goes back to it."""
    signed: bool | None = None
    """The next four are there if it is."""
    name: str | None = None
    version: str | None = None
    sequence: _Unsigned | None = None
    key: _Digest | None = None
    """Id of the key that signed it."""


class UploadStatus(BaseModel):
    """An upload that is open."""

    model_config = _LOOSE

    digest: _Digest | None = None
    """If the sender gave it."""
    size: _Unsigned = 0
    """Bytes that come."""
    off: _Unsigned = 0
    """Bytes that came."""


class RevertedStatus(BaseModel):
    """The module from which a slot went back last."""

    model_config = _LOOSE

    digest: _Digest
    why: _Unsigned = 0
    """docs/PROTOCOL.md."""
    reason: str = ""


class SlotStatus(BaseModel):
    """One slot as the device sees it."""

    model_config = _LOOSE

    slot: Annotated[int, Field(ge=0, lt=256)]
    state: Literal["empty", "stopped", "running", "exited", "trapped", "refused"]
    digest: _Digest | None = None
    """SHA-256 of the active module; None: no module."""
    size: _Unsigned = 0
    """Bytes of the active module."""
    confirmed: bool | None = None
    """Whether the active module stays at the next start; None: no module."""
    candidate: CandidateStatus | None = None
    """The other module: the next one, or the former one."""
    signed: bool | None = None
    """Whether the active module is signed; the next four are there if it is."""
    name: str | None = None
    version: str | None = None
    sequence: _Unsigned | None = None
    key: _Digest | None = None
    """Id of the key that signed it."""
    confirmed_sequence: _Unsigned | None = None
    """The slot takes no module with a lower sequence number."""
    refusal: str | None = None
    """Why the last upload was refused."""
    upload: UploadStatus | None = None
    """The upload that is open."""
    exit: int | None = None
    """Exit code, if it is exited."""
    trap: str | None = None
    """The trap's name, if it is trapped."""
    error: str | None = None
    """What is wrong with the module, and where, if it is refused."""
    backtrace: str | None = None
    """The call stack, a line for each frame, if it is trapped."""
    reason: str | None = None
    """Why it is stopped, if nobody asked for it: "watchdog"."""
    probe_ms: _Unsigned | None = None
    """Until the health probe of the active module, which is on trial, decides at the latest; None: there is none."""
    reverted: RevertedStatus | None = None
    """From which module the slot went back last, until another one is taken or marked."""
    restart_ms: _Unsigned | None = None
    """Until it is started again by itself; None: it won't be."""
    tier: Literal["interpreter", "native"] | None = None
    """What runs, or ran last, the active module; None: it has not got that far."""
    tier_note: str | None = None
    """Why native code that the module has is not used."""
    slot_class: Annotated[str, Field(alias="class")] = ""
    """Of the slot, fixed with the device's image."""
    budget: Annotated[int, Field(ge=0, le=100)] = 100
    """Percent of the CPU that the last start may use at most."""
    period_us: _Unsigned = 0
    """Period of the budget."""
    starts: _Unsigned = 0
    """Starts since the device booted."""
    log_next: _Unsigned = 0
    """Sequence number of the next log record."""
    mail: _Unsigned = 0
    """Bytes of mail that wait for the agent."""
    memory: _Unsigned = 0
    """Bytes of linear memory."""
    bookkeeping: _Unsigned = 0
    """Bytes of the arena besides linear memory."""


class StatusAnswer(message.ReadResponse, _Answer):
    """The device and its slots."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STATUS

    protocol: int
    """Version of the protocol."""
    # `version` of the message base class is SMP's own: the device's is read from its key by `loads`.
    device_version: str = ""
    """Of the device's software; on the wire it is `version`."""
    kernel: str = ""
    """"sel4", "stand-in" or "simulator"."""
    board: str = ""
    boot_ms: _Unsigned = 0
    """Guest time from the counter's zero to ready."""
    random: str = ""
    """"seeded" or "unseeded"."""
    arena: _Unsigned = 0
    """Bytes of a slot's arena."""
    native: str = ""
    """Machine whose native code the device runs; empty: none."""
    module_max: _Unsigned = 0
    """Bytes of a slot's module region: active module and candidate together."""
    store: str = "ram"
    """"flash": modules survive a loss of power; "ram"."""
    image: str = ""
    """"development": runs unsigned modules, too; "release"."""
    device_class: Annotated[str, Field(alias="class")] = ""
    """Of the device, that of manifests."""
    slots: list[SlotStatus]

    @classmethod
    def loads(cls, data: bytes) -> StatusAnswer:
        """Parse an answer; its key `version` is the device's software version, not SMP's."""
        import cbor2  # noqa: PLC0415 - beside its use
        from smp import header  # noqa: PLC0415

        size = header.Header.SIZE
        body = cbor2.loads(data[size:])
        if isinstance(body, dict):
            body["device_version"] = body.pop("version", "")
        else:
            body = {}
        return cls(header=header.Header.loads(data[:size]), smp_data=data, **body)


class Status(message.ReadRequest, _Group):
    """Ask for the device and its slots."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STATUS
    _Response = StatusAnswer


class StartAnswer(message.WriteResponse, _Answer):
    """The slot was started."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.START

    starts: _Unsigned
    """Of the slot since the device booted, this one included."""


class Start(message.WriteRequest, _Group):
    """Start a slot, with its pending candidate if there is one."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.START
    _Response = StartAnswer

    slot: int
    args: list[str]
    """The first is the program's name. A device takes a request without."""
    env: list[str]
    """"K=V" each. A device takes a request without."""
    fuel: int | None = None
    """Instructions that the run may execute."""
    lossless: bool | None = None
    """The module waits where its log is full, instead of losing output."""
    grants: list[str] | None = None
    """What the module may use beyond the default; docs/wasi-calls.md has the words."""
    budget: int | None = None
    """Percent of the CPU that it may use at most, 1 to 100."""
    timeout_ms: int | None = None
    """Wall clock on the device, from the start on."""
    restart: str | None = None
    """never or on-failure."""


class StopAnswer(message.WriteResponse, _Answer):
    """The slot is stopped."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STOP


class Stop(message.WriteRequest, _Group):
    """Stop a slot."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STOP
    _Response = StopAnswer

    slot: int


class LogsAnswer(message.ReadResponse, _Answer):
    """Log records from a cursor on."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.LOGS

    records: list[tuple[_Unsigned, Annotated[int, Field(ge=0, lt=256)], bool, bytes]]
    """Sequence number, stream (0 system, 1 stdout, 2 stderr), ends a line, bytes."""
    next: _Unsigned
    """Cursor to ask with next."""
    dropped: _Unsigned = 0
    """Records between the cursor asked for and the first that is still there."""


class Logs(message.ReadRequest, _Group):
    """Ask for log records."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.LOGS
    _Response = LogsAnswer

    slot: int
    cursor: int
    max: int | None = None
    """Bytes."""


class StatsAnswer(message.ReadResponse, _Answer):
    """Counters of a slot, by name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STATS

    def counters(self) -> dict[str, int | str]:
        """Give the counters without the message's own fields."""
        extra = self.model_extra or {}
        return {name: value for name, value in extra.items() if isinstance(value, int | str)}


class Stats(message.ReadRequest, _Group):
    """Ask for a slot's counters."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.STATS
    _Response = StatsAnswer

    slot: int


class TraceAnswer(message.WriteResponse, _Answer):
    """The slot is traced, or no longer."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRACE


class Trace(message.WriteRequest, _Group):
    """Have every WASI call of a slot reported in its log, as records of stream 3."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRACE
    _Response = TraceAnswer

    slot: int
    on: bool


class RollbackAnswer(message.WriteResponse, _Answer):
    """The former module runs."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.ROLLBACK

    starts: _Unsigned
    """Of the slot since the device booted, this one included."""


class Rollback(message.WriteRequest, _Group):
    """Make a slot's confirmed former module the active one and start it as the present one was."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.ROLLBACK
    _Response = RollbackAnswer

    slot: int


class ExchangeAnswer(message.WriteResponse, _Answer):
    """Mail of a slot."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.EXCHANGE

    up: _Unsigned
    """Number of the first record of `data`."""
    down: _Unsigned
    """Number of the record that the device wants next."""
    data: list[bytes]


class Exchange(message.WriteRequest, _Group):
    """Give and take mail of a slot; agent/mail.py has what is in it."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.EXCHANGE
    _Response = ExchangeAnswer

    slot: int
    up: int
    """Records before this number are not kept any more."""
    down: int
    """Number of the first record of `data`."""
    data: list[bytes]


class SeedAnswer(message.WriteResponse, _Answer):
    """The seed is taken."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.SEED


class Seed(message.WriteRequest, _Group):
    """Give the device its random seed."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.SEED
    _Response = SeedAnswer

    seed: bytes
    """32 bytes."""


class UploadAnswer(message.WriteResponse, _Answer):
    """Where the device wants to go on; of group 1, with our own keys."""

    model_config = _LOOSE
    _GROUP_ID = 1
    _COMMAND_ID = 1

    off: int | None = None
    match: bool | None = None
    held: bool | None = None
    """The chunk lies further on than `off` and is kept."""
    rc: int | None = None


class UploadWrite(message.WriteRequest):
    """A chunk of an upload, of group 1; the first one (`off` 0) says what comes."""

    _GROUP_ID = 1
    _COMMAND_ID = 1
    _Response = UploadAnswer
    _ErrorV1 = ImageManagementErrorV1
    _ErrorV2 = ImageManagementErrorV2

    off: int
    data: bytes
    image: int | None = None
    len: int | None = None
    """Bytes that come."""
    sha: bytes | None = None
    """Of the module."""
    enc: int | None = None
    """1: the module compressed, 2: what changed since `base`; with it the module's `size`."""
    size: int | None = None
    base: bytes | None = None


class TrustedKey(BaseModel):
    """A key that may sign modules."""

    model_config = _LOOSE

    key: _Digest
    """Its id."""
    revoked: bool
    usable: bool
    """Not revoked, and allowed for this device's class."""


class TrustReadAnswer(message.ReadResponse, _Answer):
    """The root document that counts."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRUST

    root_version: _Unsigned
    threshold: _Unsigned
    """Root keys that must sign the next document."""
    roots: list[_Digest]
    """Ids of the root keys."""
    keys: list[TrustedKey]


class TrustRead(message.ReadRequest, _Group):
    """Ask whom the device trusts."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRUST
    _Response = TrustReadAnswer


class TrustAnswer(message.WriteResponse, _Answer):
    """The root document is the one that was sent."""

    model_config = _LOOSE
    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRUST

    root_version: _Unsigned


class Trust(message.WriteRequest, _Group):
    """Replace the device's root document by a newer one."""

    _GROUP_ID = GROUP
    _COMMAND_ID = Command.TRUST
    _Response = TrustAnswer

    root: bytes
    """COSE_Sign."""
