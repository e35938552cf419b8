# SPDX-License-Identifier: Apache-2.0
"""A simulated device: the protocol of docs/PROTOCOL.md in Python, the fake beside the seam `agent.link.port`.

It answers OS, image and module groups in the framing of the request, with the device's rules (resumable upload checked
by digest, candidate, pending, start switches, log history by cursor) but runs no WebAssembly: after the 8-byte header a
module is a script of lines, `print TEXT`, `err TEXT`, `exit N`, `trap NAME`, `refuse TEXT`, `run`; `$n` is argument n,
`$NAME` a variable. Its state is in memory: a reset forgets the modules, `power_cycle` everything.

`SimulatedDevice` is pure: bytes in, bytes out. `serve` puts it on a TCP port, one client at a time, as QEMU's UART;
`Faults` loses, doubles and damages lines in both directions with a seeded generator.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
import struct
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import cbor2

from agent.link.cells import NUMBERS, cells_of, wire_of
from agent.link.cobs import frame
from agent.link.encoding import DEFLATE, DELTA, ENCODINGS, EncodingError, decode
from agent.link.frames import BadFrame, FrameDecoder, Message, Text, encode_frames
from agent.link.modules import Command, ModuleError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from agent.link.cells import Way
from contextlib import asynccontextmanager

__all__ = ["Faults", "SimulatedDevice", "module", "serve"]

HEADER = struct.Struct("!BBHHBB")
MAGIC = b"\0asm\x01\0\0\0"
READ, WRITE = 0, 2
VERSION_2 = 1 << 3
LOG_HISTORY_SIZE = 65536
INVALID_HASH, INVALID_LENGTH, TOO_LARGE, OVERRUN = 24, 21, 30, 31
HASH_NOT_FOUND, NO_SPACE, INVALID_SLOT = 8, 9, 14


def module(*lines: str, size: int = 0) -> bytes:
    """Make a module that the simulated device runs, padded to `size` bytes."""
    text = MAGIC + "\n".join(lines).encode() + b"\n"
    padding = random.Random(size).randbytes(max(0, size - len(text) - 1))  # noqa: S311 - not a secret
    return text + b"\0" + padding if size else text


@dataclass(frozen=True)
class Faults:
    """Probabilities per line on the wire."""

    drop: float = 0.0
    duplicate: float = 0.0
    corrupt: float = 0.0
    seed: int = 0

    def line(self) -> Callable[[bytes], bytes]:
        """Give a function that passes bytes on as a bad line would."""
        chance = random.Random(self.seed)  # noqa: S311 - not a secret

        def send(data: bytes) -> bytes:
            out = bytearray()
            for piece in data.splitlines(keepends=True):
                if chance.random() < self.drop:
                    continue
                damaged = bytearray(piece)
                if chance.random() < self.corrupt:
                    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
                out += damaged * (2 if chance.random() < self.duplicate else 1)
            return bytes(out)

        return send


class _RefusalError(Exception):
    def __init__(self, group: int, code: int) -> None:
        super().__init__(f"group {group} code {code}")
        self.group = group
        self.code = code


@dataclass
class _Slot:
    active: bytes | None = None
    candidate: bytes | None = None
    pending: bool = False
    confirm: bool = False
    """What was said with pending."""
    testing: bool = False
    """The active module goes back at the next start."""
    state: str = "empty"
    exit: int | None = None
    trap: str | None = None
    error: str | None = None
    starts: int = 0
    args: list[str] = field(default_factory=list)
    env: list[str] = field(default_factory=list)
    log: deque[tuple[int, int, bool, bytes]] = field(default_factory=deque)
    log_next: int = 0
    log_size: int = 0

    def say(self, stream: int, text: str) -> None:
        data = text.encode()
        self.log.append((self.log_next, stream, True, data))
        self.log_next += 1
        self.log_size += len(data)
        while self.log_size > LOG_HISTORY_SIZE:
            self.log_size -= len(self.log.popleft()[3])

    def run(self) -> None:
        self.state, self.exit, self.trap, self.error = "running", None, None, None
        code = self.active or b""
        if not code.startswith(MAGIC):
            self.state, self.error = "refused", "bad magic at offset 0"
            return
        variables = dict(entry.split("=", 1) for entry in self.env)
        variables |= {str(n): arg for n, arg in enumerate(self.args)}
        self.state, self.exit = "exited", 0
        for line in code[len(MAGIC) :].split(b"\0")[0].decode(errors="replace").splitlines():
            verb, _, rest = line.partition(" ")
            rest = re.sub(r"\$(\w+)", lambda match: variables.get(match[1], ""), rest)
            match verb:
                case "print" | "err":
                    self.say(1 if verb == "print" else 2, rest)
                case "exit":
                    self.exit = int(rest)
                    return
                case "trap" | "refuse" | "run":
                    self.exit = None
                    self.state = {"trap": "trapped", "refuse": "refused", "run": "running"}[verb]
                    self.trap = rest if verb == "trap" else None
                    self.error = rest if verb == "refuse" else None
                    return


@dataclass
class _Session:
    image: int
    length: int
    sha: bytes | None
    encoding: int
    size: int
    data: bytearray = field(default_factory=bytearray)


class SimulatedDevice:
    """One device in memory."""

    def __init__(self, *, slots: int = 2, buf_size: int = 8192, buf_count: int = 4, module_max: int = 4 << 20) -> None:
        self._slot_count = slots
        self.buf_size = buf_size
        self.buf_count = buf_count
        self.module_max = module_max
        self.started: list[tuple[int, bytes]] = []
        """Slot and digest of every start since the object was made; a reset does not forget it."""
        self.received_upload_bytes = 0
        self.boots = 0
        self._decoder = FrameDecoder()
        self._frame_number = 0
        self.power_cycle()

    def power_cycle(self) -> None:
        """Forget everything."""
        self.boots += 1
        self.slots = [_Slot() for _ in range(self._slot_count)]
        self._session: _Session | None = None
        self.seed: bytes | None = None
        self.datetime: str | None = None

    def _reset(self) -> None:
        """Forget modules; output, counters, seed and clock stay."""
        self.boots += 1
        self._session = None
        for slot in self.slots:
            slot.active = slot.candidate = slot.exit = slot.trap = slot.error = None
            slot.pending = slot.testing = False
            slot.state = "empty"

    def banner(self) -> bytes:
        """Give the console text of a boot."""
        return b"wasel 0.1.0 simulated device\r\nwasel: ready\r\n"

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the host and give back the device's bytes."""
        out = b""
        for event in self._decoder.feed(data):
            match event:
                case Message(message, cobs, way):
                    encode = frame if cobs else encode_frames
                    out += self._message(message, encode if way is None else partial(self._cells, way))
                case Text() | BadFrame():
                    pass
        return out

    def _cells(self, way: Way, message: bytes) -> bytes:
        self._frame_number = (self._frame_number + 1) % NUMBERS
        return wire_of(cells_of(message, way, number=self._frame_number, report=self._decoder.cells.report)[1])

    def _message(self, message: bytes, encode: Callable[[bytes], bytes]) -> bytes:
        if len(message) < HEADER.size or len(message) + 4 > self.buf_size:
            return b""
        op, _, length, group, sequence, command = HEADER.unpack_from(message)
        body: dict[str, Any]
        try:
            body = cbor2.loads(message[HEADER.size : HEADER.size + length])
            answer = self._dispatch(op & 7, group, command, body)
        except _RefusalError as refusal:
            answer = {"err": {"group": refusal.group, "rc": refusal.code}} if op & VERSION_2 else {"rc": 1}
        except (cbor2.CBORDecodeError, KeyError, TypeError, AttributeError):
            answer = {"rc": 3}
        reset = answer.pop("_reset", False)
        payload = cbor2.dumps(answer)
        out = encode(HEADER.pack(op + 1, 0, len(payload), group, sequence, command) + payload)
        if reset:
            self._reset()
            out += self.banner()
        return out

    def _dispatch(self, op: int, group: int, command: int, body: dict[str, Any]) -> dict[str, Any]:
        handlers: dict[tuple[int, int, int], Callable[[], dict[str, Any]]] = {
            (WRITE, 0, 0): lambda: {"r": body["d"]},
            (WRITE, 0, 5): lambda: {"_reset": True},
            (READ, 0, 6): lambda: {"buf_size": self.buf_size, "buf_count": self.buf_count},
            (READ, 0, 7): lambda: {"output": "wasel"},
            (WRITE, 0, 4): lambda: self._set_clock(body["datetime"]),
            (READ, 1, 0): self._images,
            (WRITE, 1, 0): lambda: self._set_state(body),
            (WRITE, 1, 1): lambda: self._upload(body),
            (WRITE, 1, 5): lambda: self._erase(body.get("slot", 1)),
            (READ, 64, Command.STATUS): self._status,
            (WRITE, 64, Command.START): lambda: self._start(body),
            (WRITE, 64, Command.STOP): lambda: self._stop(body),
            (READ, 64, Command.LOGS): lambda: self._logs(body),
            (READ, 64, Command.STATS): lambda: {"starts": self._slot(body).starts, "calls": self._slot(body).log_next},
            (WRITE, 64, Command.SEED): lambda: self._seed(body["seed"]),
        }
        handler = handlers.get((op, group, command))
        return handler() if handler else {"rc": 8}

    def _slot(self, body: dict[str, Any]) -> _Slot:
        number: int = body["slot"]
        if not 0 <= number < len(self.slots):
            raise _RefusalError(64, ModuleError.NO_SUCH_SLOT)
        return self.slots[number]

    def _set_clock(self, text: str) -> dict[str, Any]:
        self.datetime = text
        return {}

    def _seed(self, seed: bytes) -> dict[str, Any]:
        if len(seed) != 32:  # noqa: PLR2004
            raise _RefusalError(64, ModuleError.BAD_MESSAGE)
        self.seed = seed
        return {}

    def _images(self) -> dict[str, Any]:
        images = []
        for number, slot in enumerate(self.slots):
            for place, data in enumerate((slot.active, slot.candidate)):
                if data is not None:
                    images.append(
                        {
                            "image": number,
                            "slot": place,
                            "version": "0.0.0",
                            "hash": hashlib.sha256(data).digest(),
                            "bootable": True,
                            "pending": place == 1 and slot.pending,
                            "confirmed": place == 0,
                            "active": place == 0,
                        }
                    )
        return {"images": images}

    def _set_state(self, body: dict[str, Any]) -> dict[str, Any]:
        digest, confirm = body["hash"], bool(body.get("confirm", False))
        for slot in self.slots:
            if slot.candidate is not None and hashlib.sha256(slot.candidate).digest() == digest:
                slot.pending, slot.confirm = True, confirm
                return self._images()
            if slot.active is not None and hashlib.sha256(slot.active).digest() == digest:
                slot.testing = slot.testing and not confirm
                return self._images()
        raise _RefusalError(1, HASH_NOT_FOUND)

    def _erase(self, number: int) -> dict[str, Any]:
        if not 0 <= number < 2 * len(self.slots):
            raise _RefusalError(1, INVALID_SLOT)
        slot = self.slots[number // 2]
        if number % 2:
            slot.candidate, slot.pending = None, False
        elif slot.state == "running":
            return {"rc": 10}
        else:
            slot.active, slot.state = None, "empty"
        return {}

    def _upload(self, body: dict[str, Any]) -> dict[str, Any]:
        offset, data = body["off"], body["data"]
        self.received_upload_bytes += len(data)
        if offset == 0:
            done = self._begin_upload(body)
            if done is not None:
                return done
        session = self._session
        if session is None:
            return {"off": 0}
        if offset != len(session.data):
            return {"off": len(session.data)}
        if offset + len(data) > session.length:
            raise _RefusalError(1, OVERRUN)
        session.data += data
        if len(session.data) < session.length:
            return {"off": len(session.data)}
        self._session = None
        module = bytes(session.data)
        if session.encoding:
            kind = DELTA if session.encoding == ENCODINGS[DELTA] else DEFLATE
            try:
                module = decode(kind, module, session.size, self.slots[session.image].active or b"")
            except EncodingError:
                raise _RefusalError(1, INVALID_HASH) from None
        if session.sha is not None and hashlib.sha256(module).digest() != session.sha:
            raise _RefusalError(1, INVALID_HASH)
        self.slots[session.image].candidate = module
        return {"off": session.length, "match": True}

    def _begin_upload(self, body: dict[str, Any]) -> dict[str, Any] | None:
        image, length, sha = body.get("image", 0), body.get("len", 0), body.get("sha")
        encoding = body.get("enc", 0)
        size = body["size"] if encoding else length
        if not 0 <= image < len(self.slots):
            raise _RefusalError(1, INVALID_SLOT)
        if length <= 0:
            raise _RefusalError(1, INVALID_LENGTH)
        if max(length, size) > self.module_max:
            raise _RefusalError(1, TOO_LARGE)
        active = self.slots[image].active
        if encoding == ENCODINGS[DELTA] and (active is None or hashlib.sha256(active).digest() != body["base"]):
            raise _RefusalError(1, HASH_NOT_FOUND)
        slot, session = self.slots[image], self._session
        if session and sha is not None and (session.image, session.length, session.sha) == (image, length, sha):
            return {"off": len(session.data)} if session.data else None
        if slot.candidate is not None and sha is not None and hashlib.sha256(slot.candidate).digest() == sha:
            return {"off": length, "match": True}
        slot.candidate, slot.pending = None, False
        if size + (length if encoding else 0) + len(slot.active or b"") > self.module_max:
            raise _RefusalError(1, NO_SPACE)
        self._session = _Session(image, length, sha, encoding, size)
        return None

    def _start(self, body: dict[str, Any]) -> dict[str, Any]:
        slot = self._slot(body)
        if slot.state == "running" and not slot.pending:
            raise _RefusalError(64, ModuleError.SLOT_BUSY)
        if slot.pending or (slot.testing and slot.candidate is not None):
            slot.testing = slot.pending and not slot.confirm and slot.active is not None
            slot.active, slot.candidate, slot.pending = slot.candidate, slot.active, False
        elif slot.active is None and slot.candidate is not None:
            slot.active, slot.candidate = slot.candidate, None
        if slot.active is None:
            raise _RefusalError(64, ModuleError.SLOT_EMPTY)
        slot.args, slot.env = body.get("args", []), body.get("env", [])
        slot.starts += 1
        self.started.append((body["slot"], hashlib.sha256(slot.active).digest()))
        slot.run()
        return {"starts": slot.starts}

    def _stop(self, body: dict[str, Any]) -> dict[str, Any]:
        slot = self._slot(body)
        if slot.state == "running":
            slot.state = "stopped"
        return {}

    def _logs(self, body: dict[str, Any]) -> dict[str, Any]:
        slot, cursor, room = self._slot(body), body["cursor"], min(body.get("max") or 1024, self.buf_size - 256)
        first = slot.log[0][0] if slot.log else slot.log_next
        records: list[list[Any]] = []
        for record in slot.log:
            if record[0] >= cursor and (room > 0 or not records):
                records.append(list(record))
                room -= len(record[3]) + 8
        following: int = records[-1][0] + 1 if records else max(cursor, first)
        return {"records": records, "next": min(following, slot.log_next), "dropped": max(0, first - cursor)}

    def _status(self) -> dict[str, Any]:
        slots = []
        for number, slot in enumerate(self.slots):
            status: dict[str, Any] = {
                "slot": number,
                "state": slot.state,
                "starts": slot.starts,
                "log_next": slot.log_next,
            }
            status |= {"size": len(slot.active or b""), "memory": 0, "bookkeeping": 0}
            if slot.active is not None:
                status["digest"] = hashlib.sha256(slot.active).digest()
            optional = {"exit": slot.exit, "trap": slot.trap, "error": slot.error}
            status |= {key: value for key, value in optional.items() if value is not None}
            if slot.trap is not None:
                status["backtrace"] = "#0 simulated"
            slots.append(status)
        return {
            "protocol": 1,
            "version": "0.1.0",
            "kernel": "simulated",
            "board": "none",
            "boot_ms": 1,
            "random": "seeded" if self.seed else "unseeded",
            "arena": 8 << 20,
            "module_max": self.module_max,
            "slots": slots,
        }


@asynccontextmanager
async def serve(
    device: SimulatedDevice, *, faults: Faults | None = None, delay_s: float = 0.0, port: int = 0
) -> AsyncIterator[str]:
    """Put a device on a loopback TCP port and give its URL; each answer waits `delay_s`."""
    turn = asyncio.Lock()
    tasks: set[asyncio.Task[None]] = set()

    async def client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            async with turn:  # like QEMU's UART: the next client is served when the last is gone
                inward = faults.line() if faults else bytes
                outward = (Faults(faults.drop, faults.duplicate, faults.corrupt, faults.seed + 1).line()
                           if faults else bytes)  # fmt: skip
                while data := await reader.read(4096):
                    answer = device.feed(inward(data))
                    if delay_s and answer:
                        await asyncio.sleep(delay_s)
                    writer.write(outward(answer))
                    await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            if task is not None:
                tasks.discard(task)

    server = await asyncio.start_server(client, "127.0.0.1", port)
    try:
        yield f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
