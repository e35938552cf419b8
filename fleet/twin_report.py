# SPDX-License-Identifier: Apache-2.0
"""The report of the twin gate: what a module did in QEMU before any device gets it. Pure.

A report holds facts, no verdict. `judge` draws the verdict from them, so whoever verifies a report draws it again and
need not believe that of the worker. The bytes are a COSE_Sign1 (RFC 9052 section 4.2) with Ed25519 over one
deterministic CBOR map (RFC 8949 section 4.2); every other shape is refused:

    18([ << {1: -8, 3: "application/vnd.wasel.twin+cbor", 4: key id} >>, {}, << the map >>, signature ])

Contract: `verify_report` gives a report that one of the keys signed, about exactly these bytes (and this image, if it
is named), not older than asked for, or raises `TwinReportError`. A report that is about the right module and says
that it failed is a report: see `passed` and `reasons`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

import cbor2

from agent.errors import RefusedError
from agent.manifest import Health
from agent.signing import protected_header

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.keys import PrivateKey, PublicKey

__all__ = ["REPORT_TYPE", "Line", "TwinReport", "TwinReportError", "judge", "sign_report", "verify_report"]

REPORT_TYPE = "application/vnd.wasel.twin+cbor"
REPORT_VERSION = 1
COSE_SIGN1_TAG = 18
SIGNATURE_SIZE = 64  # bytes
DIGEST_SIZE = 32  # bytes
MAX_REPORT = 256 * 1024  # bytes
MAX_LINES = 200
MAX_LINE = 1024  # bytes of one line of output
MAX_TEXT = 4096  # characters
MAX_STATS = 64
PROBE_TIMEOUT_S = 30.0
"""Of a health probe that does not say."""


class TwinReportError(RefusedError):
    """The report is malformed, not signed by a trusted key, or about something else."""


@dataclass(frozen=True)
class Line:
    """One line of output."""

    at_ms: int
    """Since the module's start."""
    stream: int
    """1 stdout, 2 stderr, 0 the system."""
    data: bytes


@dataclass(frozen=True)
class TwinReport:
    """What one run showed; times in the unit of the name's end."""

    digest: bytes
    """SHA-256 of the module's file, 32 bytes."""
    size: int
    image: bytes
    """SHA-256 of the device image, 32 bytes."""
    kernel: str
    """What the image runs on: "stand-in" is a simulator, "seL4" the product."""
    device_version: str
    device_image: str
    """"development" or "release"."""
    name: str
    """This and the next two from the manifest; "" and 0 without one."""
    version: str
    sequence: int
    health: dict[str, Any]
    """The manifest's probe; empty: none."""
    began_ms: int
    """Since the epoch."""
    boot_ms: int
    """Wall clock from QEMU's start to ready."""
    guest_boot_ms: int
    install_ms: int
    """Upload and verification by the device."""
    soak_ms: int
    """How long the run was to be watched."""
    ran_ms: int
    """How long it was watched after its start."""
    refused: str = ""
    """Why the device did not take or start it."""
    state: str = ""
    """Of the slot at the end."""
    active: bytes = b""
    """Digest of the slot's module at the end."""
    exit: int | None = None
    traps: tuple[str, ...] = ()
    """Names of traps that were seen, with their backtraces."""
    starts: int = 0
    probe_ms: int | None = None
    """When the health probe was content, after the start; None: never."""
    arena: int = 0
    """Bytes that the slot has."""
    arena_peak: int = 0
    """Bytes of it that were in use at most."""
    cpu_us: int = 0
    first_line_ms: int | None = None
    tier: str = ""
    """"interpreter" or "native"."""
    stats: dict[str, int] = field(default_factory=dict)
    """Counters of the slot at the end, as `wasel stats` gives them."""
    output: tuple[Line, ...] = ()
    """The first and the last lines."""
    output_lines: int = 0
    """How many there were."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it did not pass; empty: it did."""
        return judge(self)

    @property
    def passed(self) -> bool:
        """Whether a rollout may go on."""
        return not self.reasons

    @property
    def cpu_percent(self) -> float:
        """Share of one CPU while it was watched."""
        return round(self.cpu_us / 10 / self.ran_ms, 1) if self.ran_ms else 0.0

    def encode(self) -> bytes:
        """Encode, deterministically."""
        table = {name: value for name, value in asdict(self).items() if value is not None}
        table |= {"v": REPORT_VERSION, "output": [[line.at_ms, line.stream, line.data] for line in self.output]}
        data: bytes = cbor2.dumps(table, canonical=True)
        if len(data) > MAX_REPORT:
            raise TwinReportError(f"twin report: {len(data)} bytes, at most {MAX_REPORT} are possible")
        return data

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Check and take apart. TwinReportError."""
        try:
            table = cbor2.loads(data)
            if not isinstance(table, dict) or cbor2.dumps(table, canonical=True) != data:
                raise TwinReportError("twin report: not deterministic CBOR")
            if table.pop("v") != REPORT_VERSION:
                raise TwinReportError(f"twin report: its version is not {REPORT_VERSION}")
            table["output"] = tuple(Line(*line) for line in table["output"])
            table["traps"] = tuple(table["traps"])
            report = cls(**table)
        except (cbor2.CBORError, ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise TwinReportError("twin report: malformed") from error
        _check(report)
        return report


def _allowed(kind: str, name: str, value: object) -> bool:
    """Tell whether a plain field's value is of its kind and within bounds; fields of other kinds are checked apart."""
    match kind:
        case "bytes":
            return isinstance(value, bytes) and len(value) in ({0, DIGEST_SIZE} if name == "active" else {DIGEST_SIZE})
        case "int":
            return type(value) is int and 0 <= value < 1 << 63
        case "int | None":
            return value is None or (type(value) is int and -(1 << 31) <= value < 1 << 63)
        case "str":
            return isinstance(value, str) and len(value) <= MAX_TEXT
        case _:
            return True


def _check(report: TwinReport) -> None:
    """Check types and bounds of every field."""
    for item in fields(report):
        value = getattr(report, item.name)
        if not _allowed(str(item.type), item.name, value):
            raise TwinReportError(f"twin report: {item.name} is not allowed: {value!r:.60}")
    lines_good = len(report.output) <= MAX_LINES and all(
        type(line.at_ms) is int
        and type(line.stream) is int
        and isinstance(line.data, bytes)
        and len(line.data) <= MAX_LINE
        for line in report.output
    )
    traps_good = len(report.traps) <= MAX_LINES and all(isinstance(t, str) and len(t) <= MAX_TEXT for t in report.traps)
    stats_good = (
        isinstance(report.stats, dict)
        and len(report.stats) <= MAX_STATS
        and all(isinstance(name, str) and type(value) is int for name, value in report.stats.items())
    )
    if not (lines_good and traps_good and stats_good and isinstance(report.health, dict)):
        raise TwinReportError("twin report: output, traps, stats or health is malformed")
    if report.health:
        try:
            Health.parse(report.health)
        except RefusedError as error:
            raise TwinReportError(f"twin report: {error}") from error


def _probe_reasons(report: TwinReport) -> list[str]:
    """Judge by the manifest's health probe, or by the least that every module has to do: not fail."""
    health = Health.parse(report.health) if report.health else None
    if health is None:
        if report.state == "exited" and report.exit != 0:
            return [f"it ended with exit code {report.exit}"]
        return [] if report.state in ("running", "exited") else [f"its slot is {report.state or 'unknown'} at the end"]
    reasons = []
    limit_ms = 1000 * (health.timeout_s or PROBE_TIMEOUT_S)
    if report.probe_ms is None:
        reasons.append(f"its health probe was never content: {_probe_text(health)}")
    elif health.alive_s is None and report.probe_ms > limit_ms:
        reasons.append(f"its health probe was content after {report.probe_ms} ms, {limit_ms:g} are allowed")
    if health.exit is not None and report.state == "exited" and report.exit != health.exit:
        reasons.append(f"it ended with exit code {report.exit}, not {health.exit}")
    if health.exit is None and report.state == "exited" and report.exit != 0:
        reasons.append(f"it ended with exit code {report.exit}")
    if health.alive_s is not None and report.state != "running":
        reasons.append(f"its slot is {report.state or 'unknown'} at the end, and it shall be alive")
    if report.state not in ("running", "exited"):
        reasons.append(f"its slot is {report.state or 'unknown'} at the end")
    return reasons


def _probe_text(health: Health) -> str:
    if health.line is not None:
        return f"the line {health.line!r:.80}"
    return f"exit code {health.exit}" if health.exit is not None else f"alive for {health.alive_s} s"


def judge(report: TwinReport) -> tuple[str, ...]:
    """Give every reason why the module must not leave the gate; none: it may."""
    if report.refused:
        return (f"the device refuses it: {report.refused}",)
    reasons = [f"trap: {trap.splitlines()[0] if trap else 'unknown'}" for trap in report.traps]
    if report.state == "trapped" and not reasons:
        reasons.append("trap: unknown")
    if report.stats.get("traps", 0) and not reasons:
        reasons.append(f"{report.stats['traps']} traps were counted")
    if report.stats.get("faults", 0):
        reasons.append(f"{report.stats['faults']} faults outside its memory were counted")
    if report.active and report.active != report.digest:
        reasons.append("the device went back to another module")
    if report.starts != 1:
        reasons.append(f"it was started {report.starts} times instead of once")
    if report.ran_ms < report.soak_ms and report.state == "running":
        reasons.append(f"it was watched for {report.ran_ms} ms only, {report.soak_ms} were asked for")
    if report.arena and report.arena_peak > report.arena:
        reasons.append(f"it used {report.arena_peak} bytes of an arena of {report.arena}")
    return tuple(dict.fromkeys([*reasons, *_probe_reasons(report)]))


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure, RFC 9052 section 4.4, without external data."""
    structure: bytes = cbor2.dumps(["Signature1", protected, b"", payload])
    return structure


def _envelope(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    data: bytes = cbor2.dumps(cbor2.CBORTag(COSE_SIGN1_TAG, [protected, {}, payload, signature]))
    return data


def sign_report(report: TwinReport, key: PrivateKey) -> bytes:
    """Sign a report."""
    protected, payload = protected_header(key.public.id, REPORT_TYPE), report.encode()
    return _envelope(protected, payload, key.sign(_to_be_signed(protected, payload)))


def verify_report(
    data: bytes,
    keys: Iterable[PublicKey],
    *,
    digest: bytes,
    image: bytes | None = None,
    not_before_ms: int = 0,
) -> TwinReport:
    """Give the report if it is about `digest` (and `image`), began at `not_before_ms` or later, and a key signed it.

    Raises:
        TwinReportError: anything else; the text says what.

    """
    if len(data) > MAX_REPORT + 1024:
        raise TwinReportError(f"twin report: {len(data)} bytes are too many")
    try:
        protected, _, payload, signature = cbor2.loads(data).value
        good = _envelope(protected, payload, signature) == data and len(signature) == SIGNATURE_SIZE
    except (cbor2.CBORError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise TwinReportError("twin report: no COSE_Sign1") from error
    if not good or not isinstance(protected, bytes) or not isinstance(payload, bytes):
        raise TwinReportError("twin report: a COSE_Sign1, but not of the one shape that is accepted")
    key = next((key for key in keys if protected_header(key.id, REPORT_TYPE) == protected), None)
    if key is None:
        raise TwinReportError("twin report: signed by a key that is not trusted for it")
    if not key.verifies(signature, _to_be_signed(protected, payload)):
        raise TwinReportError(f"twin report: not what key {key.short_id} signed")
    report = TwinReport.decode(payload)
    if report.digest != digest:
        raise TwinReportError(f"twin report: about module {report.digest.hex()[:12]}, not {digest.hex()[:12]}")
    if image is not None and report.image != image:
        raise TwinReportError(f"twin report: made with image {report.image.hex()[:12]}, not {image.hex()[:12]}")
    if report.began_ms < not_before_ms:
        raise TwinReportError("twin report: older than the question")
    return report
