# SPDX-License-Identifier: Apache-2.0
"""What a virtual device does with a module: it plays a script, because it runs no WebAssembly.

The script is the module's custom section `wasel.script`, which real devices ignore, so that one signed file can run
well in the twin gate and badly on virtual devices. One verb a line:

    print TEXT, err TEXT     a line of output; $0, $1 are arguments, $NAME is a variable
    exit CODE | trap NAME | refuse TEXT | run     how it ends; `run` (the default) goes on running
    after SECONDS VERB ...   the same, so much later
    chance P VERB ...        the same with probability P (0 to 1), drawn once per start

Contract: `parse_script` gives a script or raises `ScriptError`; `ModuleStore` keeps the bytes that many devices pull,
once. A module of real life has no script: it prints one line with its name and runs on.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.errors import RefusedError
from agent.module_file import append_section, custom_section, strip_sections
from agent.signing import read_signed

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from agent.manifest import Manifest

__all__ = ["SCRIPT_SECTION", "ModuleStore", "ScriptError", "Step", "VirtualModule", "parse_script", "with_script"]

SCRIPT_SECTION = "wasel.script"
MAX_SCRIPT = 4096  # bytes
MAX_LINES = 64
ENDINGS = ("exit", "trap", "refuse", "run")
VERBS = ("print", "err", *ENDINGS)
MAX_MODULES = 64
"""Kept at once; the ones that were used longest ago go first."""


class ScriptError(RefusedError):
    """The script of a module is not one."""


@dataclass(frozen=True)
class Step:
    """One verb of a script."""

    verb: str
    text: str = ""
    after_s: float = 0.0
    chance: float = 1.0


def _number(line: str, text: str, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ScriptError(f"script: {line!r}: {text!r} is not a number from 0 to {most:g}")
    return value


def _step(line: str) -> Step:
    rest, after_s, chance = line, 0.0, 1.0
    while True:
        verb, _, rest = rest.partition(" ")
        if verb not in ("after", "chance"):
            break
        number, _, rest = rest.partition(" ")
        if verb == "after":
            after_s = _number(line, number, 86_400)
        else:
            chance *= _number(line, number, 1)
    if verb not in VERBS:
        raise ScriptError(f"script: {line!r}: {verb!r} is none of {', '.join(VERBS)}")
    if verb == "exit":
        _number(line, rest, 255)
    return Step(verb, rest, after_s, chance)


def parse_script(data: bytes) -> tuple[Step, ...]:
    """Read a script. ScriptError."""
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ScriptError("script: not UTF-8") from error
    lines = [line for line in map(str.strip, lines) if line and not line.startswith("#")]
    if len(data) > MAX_SCRIPT or len(lines) > MAX_LINES:
        raise ScriptError(f"script: over {MAX_SCRIPT} bytes or {MAX_LINES} lines")
    return tuple(map(_step, lines))


def with_script(module: bytes, *lines: str) -> bytes:
    """Give an unsigned module with a script; one that it had is replaced."""
    text = "\n".join(lines).encode()
    parse_script(text)
    return append_section(strip_sections(module, SCRIPT_SECTION), SCRIPT_SECTION, text)


@dataclass(frozen=True)
class VirtualModule:
    """A module as virtual devices see it."""

    digest: bytes
    size: int
    steps: tuple[Step, ...]
    manifest: Manifest | None = None
    key: bytes | None = None
    """Id of the key that signed it; a virtual device verifies nothing."""
    refusal: str = ""
    """Why a device would not start it."""

    @classmethod
    def read(cls, data: bytes) -> VirtualModule:
        """Look into a module's file."""
        digest, manifest, key = hashlib.sha256(data).digest(), None, None
        try:
            script = custom_section(data, SCRIPT_SECTION)
            try:
                signed = read_signed(data)
                manifest, key = signed.manifest, signed.envelope.key_id
            except RefusedError:
                pass  # unsigned: a development device runs it
            name = manifest.name if manifest else digest.hex()[:12]
            steps = parse_script(script) if script is not None else (Step("print", f"{name} runs"), Step("run"))
        except RefusedError as error:
            return cls(digest, len(data), (), refusal=str(error))
        return cls(digest, len(data), steps, manifest, key)

    def play(self, args: Sequence[str], env: Sequence[str], chance: random.Random) -> list[tuple[float, str, str]]:
        """Draw what one start does: times in seconds, verbs and texts, up to and with the first ending."""
        if self.refusal:
            return [(0.0, "refuse", self.refusal)]
        variables = dict(entry.split("=", 1) for entry in env) | {str(n): arg for n, arg in enumerate(args)}
        drawn = [step for step in self.steps if step.chance >= 1 or chance.random() < step.chance]
        out = []
        for step in sorted(drawn, key=lambda step: step.after_s):
            out.append((step.after_s, step.verb, re.sub(r"\$(\w+)", lambda m: variables.get(m[1], ""), step.text)))
            if step.verb in ENDINGS and step.verb != "run":
                break
        return out


class ModuleStore:
    """The modules that the devices of one process pull, each held once.

    A device keeps a running hash of what it has; the bytes go here, from whoever is ahead. Nobody is ahead of what is
    here, so a device whose hash is right finds the whole module.
    """

    def __init__(self) -> None:
        self._parts: OrderedDict[bytes, bytearray] = OrderedDict()
        self._whole: OrderedDict[bytes, VirtualModule] = OrderedDict()

    def extend(self, digest: bytes, offset: int, data: bytes) -> None:
        """Take the bytes that a device got in order."""
        if digest in self._whole:
            return
        part = self._parts.setdefault(digest, bytearray())
        self._parts.move_to_end(digest)
        if offset <= len(part) < offset + len(data):
            part += data[len(part) - offset :]
        while len(self._parts) > MAX_MODULES:
            self._parts.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        """Forget a part that turned out to have another digest."""
        self._parts.pop(digest, None)

    def get(self, digest: bytes) -> VirtualModule | None:
        """Give a module; None if its bytes are not (or not any more) here."""
        found = self._whole.get(digest)
        if found is None:
            part = self._parts.get(digest)
            if part is None or hashlib.sha256(part).digest() != digest:
                return None
            found = self._whole[digest] = VirtualModule.read(bytes(self._parts.pop(digest)))
        self._whole.move_to_end(digest)
        while len(self._whole) > MAX_MODULES:
            self._whole.popitem(last=False)
        return found
