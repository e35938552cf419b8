# SPDX-License-Identifier: Apache-2.0
"""A device as its operations: status, images, upload, start, stop, logs, statistics, seed, clock, reset.

Contract: every call is bounded in time and either returns, or raises a `LinkError`: `DeviceError` if the device said
no, `NoAnswerError` if it stayed silent through all attempts, `LinkLostError` if the port died, `BadAnswerError` if it
talks nonsense. Calls that may be repeated without harm are repeated; `start` is not repeated blindly: the device's own
counter of starts says whether a lost answer was a lost start. Several tasks may use one device.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import logging
from typing import TYPE_CHECKING, Self, TypeVar

import cbor2
from smp.exceptions import SMPException
from smp.image_management import IMG_MGMT_ERR, ImageState
from smpclient import SMPClient
from smpclient.exceptions import SMPClientException
from smpclient.generics import SMPRequest, TEr1, TEr2, error_v1, error_v2, success
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import DateTimeWrite, EchoWrite, MCUMgrParametersRead, ResetWrite
from smpclient.transport import SMPTransportDisconnected

from agent.errors import BadAnswerError, DeniedError, DeviceError, LinkError, LinkLostError, NoAnswerError
from agent.link.encoding import ENCODINGS, PLAIN, Encoded, smallest
from agent.link.loss import Loss
from agent.link.modules import (
    GROUP,
    Exchange,
    ExchangeAnswer,
    Limits,
    Logs,
    LogsAnswer,
    ModuleError,
    Rollback,
    Seed,
    SlotStatus,
    Start,
    Stats,
    Status,
    StatusAnswer,
    Stop,
    Trace,
    Trust,
    UploadAnswer,
    UploadWrite,
)
from agent.link.transport import FramedTransport
from agent.link.upload import Chunk, Sender
from agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from smp import error as smperror
    from smp import message as smpmessage
    from smp.os_management import MCUMgrParametersReadResponse

__all__ = ["Device", "upload_overhead"]

# smpclient logs what it also raises, with the whole message; without a handler Python would print it on stderr.
logging.getLogger("smpclient").setLevel(logging.CRITICAL + 1)

ANSWER_TIMEOUT_S = 2.0
FIRST_FACTOR = 5
"""The first chunk of an upload may wait for an erase: so many times the timeout."""
ATTEMPTS = 3
HANDOVER_S = 60.0
"""Within it an agent that took a line over must answer."""
HANDOVER_POLL_S = 0.2
NO_LIMITS = Limits()
FIRST_SIZE = 256
"""Bytes of data in the first question of an upload,"""
FIRST_SIZE_IN_CELLS = 64
"""and where the line is bad."""
FIRST_WAITS = ((1, 0.5), (12, 0.15), (20, 0.5), (1 << 30, 2.0))
"""Tries up to which an answer to it is waited for so long, in the link's timeouts: short where the line is bad, long
where a device is slow."""
UPLOAD_ATTEMPTS = 8
"""Silent or useless answers in a row before an upload is given up."""
REQUESTS = 64
"""On the wire at once: uploads bound their own by bytes, and all others are small. Nobody waits to be sent, so none is
given up while it waits."""
MOST_CHUNK = 2048
"""Bytes of an upload in one message: other requests wait behind it on a slow line, and a fault costs all of it."""
FOREVER_S = 3600.0
GROUP_IMAGE = 1
SMP_BUSY = 10
SMP_DENIED = 11

TRep = TypeVar("TRep", bound="smpmessage.ReadResponse | smpmessage.WriteResponse")


def upload_overhead(image: int, size: int) -> int:
    """Bytes of the first upload message besides its data."""
    request = UploadWrite(off=0, data=b"", image=image, len=size, sha=bytes(32), enc=2, size=1 << 31, base=bytes(32))
    return len(bytes(request)) + 4  # the data's CBOR length takes up to 4 bytes more


class Device:
    """An open link to one device; use as an async context manager."""

    def __init__(
        self,
        port: str,
        *,
        name: str | None = None,
        on_text: Callable[[str], None] | None = None,
        timeout_s: float = ANSWER_TIMEOUT_S,
        line_length: int | None = None,
        successor: Callable[[], str | None] | None = None,
    ) -> None:
        """Name the port; `successor` gives the one to go on through (`give_way`), once there is another."""
        self.name = name or port
        self.port = port
        self.transport = FramedTransport(
            on_text=on_text, **({} if line_length is None else {"line_length": line_length})
        )
        self.timeout_s = timeout_s
        self._successor = successor
        self._client = SMPClient(self.transport, port, timeout_s)
        self.window = 1
        """Requests that the device takes at once."""

    async def open(self) -> None:
        """Open the port and learn the device's limits; the device must answer."""
        await self.transport.connect(self.port, 5.0)
        try:
            parameters = await self._parameters()
        except BaseException:
            await self.transport.disconnect()
            raise
        if not 32 <= parameters.buf_size <= 1 << 20 or not 1 <= parameters.buf_count <= 1 << 16:  # noqa: PLR2004
            await self.transport.disconnect()
            raise BadAnswerError(
                f"{self.name}: impossible parameters: {parameters.buf_count} buffers of {parameters.buf_size} bytes"
            )
        self.transport.initialize(parameters.buf_size)
        self.window = min(parameters.buf_count, 8)
        self.transport.set_window(REQUESTS)

    async def _parameters(self) -> MCUMgrParametersReadResponse:
        """Ask for the device's limits, and find out whether it takes COBS frames: whoever does answers in them.

        After a frame and console lines without an answer the line may be bad: cells come through.
        """
        for attempt in range(2 * ATTEMPTS):
            self.transport.cobs = attempt % 3 != 1
            self.transport.loss = Loss()
            if attempt % 3 == 2:  # noqa: PLR2004
                self.transport.loss.begin()
            with contextlib.suppress(NoAnswerError):
                parameters = await self.request(MCUMgrParametersRead(), attempts=1)
                self.transport.cobs = self.transport.answered_in_cobs
                return parameters
        raise NoAnswerError(
            f"{self.name}: no answer within {2 * ATTEMPTS * self.timeout_s:g} s; "
            "is the device running, and does no other program hold its port?"
        )

    async def close(self) -> None:
        """Close the port."""
        await self.transport.disconnect()

    async def give_way(self) -> None:
        """Leave the line to who needs it by now, and go on through them; call it while no request is under way.

        An agent that comes up finds the line taken by a command that lasts: it could not open it before that ends, and
        a module that waits for its agent would never end.
        """
        port = self._successor() if self._successor is not None else None
        if port is None:
            return
        await self.close()
        self.port, self._successor = port, None
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + HANDOVER_S
        while True:
            try:
                await self.open()
            except LinkError:
                if loop.time() >= ends_s:
                    raise
                await asyncio.sleep(HANDOVER_POLL_S)
            else:
                return

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def request(
        self, request: SMPRequest[TRep, TEr1, TEr2], *, timeout_s: float | None = None, attempts: int = ATTEMPTS
    ) -> TRep:
        """Send a request until it is answered, `attempts` times at most."""
        timeout_s = timeout_s if timeout_s is not None else self.timeout_s
        if len(request.BYTES) > self.transport.max_unencoded_size:
            raise DeviceError(
                f"{self.name}: {type(request).__name__} of {len(request.BYTES)} bytes is over the device's limit of "
                f"{self.transport.max_unencoded_size}: use fewer or shorter arguments",
                group=GROUP,
                code=ModuleError.TOO_LARGE,
            )
        for _ in range(attempts):
            try:
                answer = await self._client.request(request, timeout_s)
            except TimeoutError:
                continue
            except SMPTransportDisconnected as error:
                raise LinkLostError(f"{self.name}: {error}") from error
            except LinkLostError as error:
                raise LinkLostError(f"{self.name}: {error}") from error
            except (SMPClientException, SMPException, cbor2.CBORDecodeError, ValueError, TypeError) as error:
                first = str(error).strip().splitlines()
                raise BadAnswerError(
                    f"{self.name}: {type(request).__name__}: answer does not follow the protocol: "
                    f"{' '.join(first[:2]) if first else type(error).__name__}"
                ) from error
            if success(answer):
                return answer
            raise self._refused(type(request).__name__, answer)
        raise NoAnswerError(
            f"{self.name}: no answer to {type(request).__name__} within {attempts * timeout_s:g} s; "
            "is the device running, and does no other program hold its port?"
        )

    def _refused(self, what: str, answer: smperror.ErrorV1 | smperror.ErrorV2[ModuleError] | object) -> DeviceError:
        group, code, text = -1, -1, "unknown error"
        if error_v1(answer):  # type: ignore[arg-type]
            code, text = int(answer.rc), answer.rc.name
            if code == SMP_DENIED and answer.rsn:
                return DeniedError(f"{self.name}: {printable(answer.rsn)}", group=group, code=code)
            if answer.rsn:
                text = f"{text}: {answer.rsn}"
        elif error_v2(answer):  # type: ignore[arg-type]
            group, code, text = int(answer.err.group), int(answer.err.rc), answer.err.rc.name
        text = text.lower().replace("_", " ")
        return DeviceError(f"{self.name}: {what}: the device says: {text} (code {code})", group=group, code=code)

    async def echo(self, text: str) -> str:
        """Have the device repeat a text."""
        return (await self.request(EchoWrite(d=text))).r

    async def status(self) -> StatusAnswer:
        """Ask for the device and its slots."""
        answer = await self.request(Status())
        if answer.protocol != 1:
            raise BadAnswerError(f"{self.name}: speaks protocol {answer.protocol}, this agent 1: update the older one")
        if [slot.slot for slot in answer.slots] != list(range(len(answer.slots))):
            raise BadAnswerError(f"{self.name}: slots are not numbered 0, 1, ...")
        return answer

    async def slot(self, slot: int) -> SlotStatus:
        """Ask for one slot, or raise `DeviceError` if there is none of that number."""
        slots = (await self.status()).slots
        if not 0 <= slot < len(slots):
            raise DeviceError(
                f"{self.name}: no slot {slot}; there are {len(slots)}, from 0",
                group=GROUP,
                code=ModuleError.NO_SUCH_SLOT,
            )
        return slots[slot]

    async def images(self) -> list[ImageState]:
        """Ask for the modules of all slots: `image` is wasel's slot; `slot` 0 the active module, 1 the candidate."""
        return (await self.request(ImageStatesRead())).images

    async def candidate(self, slot: int) -> bytes | None:
        """Digest of a slot's whole candidate, None if there is none."""
        for image in await self.images():
            if (image.image or 0) == slot and image.slot == 1:
                return image.hash
        return None

    async def set_pending(self, digest: bytes, *, confirm: bool = True) -> None:
        """Have the candidate with this digest switched to at the next start; for one start only without `confirm`."""
        await self.request(ImageStatesWrite(hash=digest, confirm=confirm))

    async def rollback(self, slot: int) -> None:
        """Go back to the slot's confirmed former module and start it."""
        await self.request(Rollback(slot=slot))

    async def erase_candidate(self, slot: int) -> None:
        """Forget a slot's candidate, or the upload that would become one."""
        await self.request(ImageErase(slot=2 * slot + 1), timeout_s=FIRST_FACTOR * self.timeout_s)

    async def erase_active(self, slot: int) -> None:
        """Forget a slot's active module, which must not run."""
        await self.request(ImageErase(slot=2 * slot), timeout_s=FIRST_FACTOR * self.timeout_s)

    async def start(
        self,
        slot: int,
        args: tuple[str, ...] = (),
        env: tuple[tuple[str, str], ...] = (),
        *,
        fuel: int | None = None,
        lossless: bool = False,
        grants: tuple[str, ...] = (),
        limits: Limits = NO_LIMITS,
    ) -> int:
        """Start a slot exactly once and give back its counter of starts."""
        before = (await self.slot(slot)).starts
        request = Start(
            slot=slot,
            args=list(args),
            env=[f"{key}={value}" for key, value in env],
            fuel=fuel,
            lossless=True if lossless else None,
            grants=list(grants) or None,
            budget=limits.budget_percent,
            timeout_ms=limits.timeout_ms,
            restart=limits.restart,
        )
        for attempt in range(ATTEMPTS):
            try:
                return (await self.request(request, attempts=1)).starts
            except NoAnswerError:
                pass
            except DeviceError as error:
                if attempt == 0 or error.code != ModuleError.SLOT_BUSY:
                    raise  # busy with what an earlier attempt started is no refusal: it came late
            now = (await self.slot(slot)).starts
            if now != before:
                return now
        raise NoAnswerError(f"{self.name}: the device does not answer Start of slot {slot} though it answers Status")

    async def stop(self, slot: int) -> None:
        """Stop a slot; a slot that does not run stays as it is."""
        await self.request(Stop(slot=slot))

    async def logs(self, slot: int, cursor: int, max_bytes: int | None = None) -> LogsAnswer:
        """Read log records from `cursor` on; `max_bytes` is cut to what fits an answer."""
        return await self.request(Logs(slot=slot, cursor=cursor, max=max_bytes))

    async def stats(self, slot: int) -> dict[str, int | str]:
        """Read a slot's counters."""
        return (await self.request(Stats(slot=slot))).counters()

    async def trace(self, slot: int, *, on: bool) -> None:
        """Switch the trace of a slot's WASI calls; they come as log records of stream 3."""
        await self.request(Trace(slot=slot, on=on))

    async def exchange(self, slot: int, up: int, down: int, data: list[bytes]) -> ExchangeAnswer:
        """Give and take mail of a slot; repeating it changes nothing (agent/mail.py)."""
        return await self.request(Exchange(slot=slot, up=up, down=down, data=data))

    async def seed(self, seed: bytes) -> None:
        """Give the device 32 bytes of randomness."""
        if len(seed) != 32:  # noqa: PLR2004
            raise ValueError("a seed is 32 bytes")
        await self.request(Seed(seed=seed))

    async def install_root(self, document: bytes) -> int:
        """Give the device a newer root document; gives the version that it trusts by now."""
        return (await self.request(Trust(root=document))).root_version

    async def set_clock(self, now: dt.datetime) -> None:
        """Set the device's clock; `now` with a time zone."""
        text = now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+00:00")
        await self.request(DateTimeWrite(datetime=text))

    async def reset(self) -> None:
        """Restart the device; it answers first."""
        await self.request(ResetWrite(), attempts=1)

    async def upload(
        self,
        slot: int,
        data: bytes,
        progress: Callable[[int], None] | None = None,
        *,
        base: Callable[[bytes], bytes | None] | None = None,
    ) -> int:
        """Upload a module as the candidate of `slot`, from wherever the device already is, in as few bytes as may be.

        `progress` is called with the bytes of the module that the device has, in proportion if they come encoded.
        `base` gives a module by its digest, if it is at hand: what changed since the slot's active one may be the least
        to send. Gives back how many bytes of data were sent.
        """
        bases = await self._base(slot, base) if base is not None else {}
        *small, last = await asyncio.to_thread(smallest, data, bases)
        sent = 0
        for way in (*small, last):
            upload = _Upload(self, slot, data, way, progress or (lambda _: None))
            try:
                return sent + await upload.run()
            except DeviceError as error:
                if way is last or isinstance(error, DeniedError) or error.group not in (GROUP_IMAGE, -1):
                    raise  # whatever it is, it is not about this way to send it
                sent += upload.sent
        raise AssertionError("there is a last way")

    async def _base(self, slot: int, base: Callable[[bytes], bytes | None]) -> dict[bytes, bytes]:
        """Give the slot's active module by its digest, if it is at hand; a line too bad to ask gets the whole one."""
        try:
            digest = (await self.slot(slot)).digest
        except NoAnswerError:
            return {}
        former = await asyncio.to_thread(base, digest) if digest is not None else None
        return {digest: former} if digest is not None and former is not None else {}


class _Upload:
    """One upload: agent.link.upload says what to send, the device's answers where it goes on."""

    def __init__(self, device: Device, slot: int, module: bytes, way: Encoded, progress: Callable[[int], None]) -> None:
        self._device = device
        self._slot = slot
        self._data = data = way.data
        self._way = way
        self._module_size = len(module)
        self._sha = hashlib.sha256(module).digest()
        self._report = progress
        self._room = min(device.transport.max_unencoded_size - upload_overhead(slot, len(data)), MOST_CHUNK)
        self._overhead = len(bytes(UploadWrite(off=len(data), data=b""))) + 4
        """Bytes of a later upload message besides its data."""
        self.sent = 0
        """Bytes of data."""
        self._tasks: dict[asyncio.Task[UploadAnswer], Chunk] = {}
        if self._room < 1:
            raise BadAnswerError(f"{device.name}: its buffer of {device.transport.mtu} bytes holds no upload message")

    def _progress(self, offset: int) -> None:
        self._report(offset * self._module_size // len(self._data))

    async def run(self) -> int:
        """Carry it out; an upload that the device has forgotten (it lost power) begins again where the device says."""
        size = len(self._data)
        failures = 0
        while True:
            offset = await self._begin()
            reached = await self._send(offset) if offset < size else size
            if reached >= size:
                self._progress(size)
                return self.sent
            failures = 0 if reached > offset else failures + 1
            if failures >= UPLOAD_ATTEMPTS:
                raise NoAnswerError(f"{self._device.name}: upload stuck at byte {offset} of {size}; try again")

    async def _begin(self) -> int:
        """Ask where to go on; the question carries the first bytes, and fewer where the line is bad."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + UPLOAD_ATTEMPTS * FIRST_FACTOR * self._device.timeout_s
        tries = 0
        while loop.time() < give_up_s:
            timeout_s = next(wait for most, wait in FIRST_WAITS if tries < most) * self._device.timeout_s
            most = FIRST_SIZE if self._device.transport.loss.way is None else FIRST_SIZE_IN_CELLS
            # Never none: what comes after it then needs not say it all again.
            size = min(self._room, len(self._data), most)
            with contextlib.suppress(NoAnswerError):
                offset = self._checked(await self._request(0, size, timeout_s))
                self._progress(offset)
                return offset
            tries += 1
        raise NoAnswerError(f"{self._device.name}: no answer to the first bytes of an upload; is it running?")

    async def _send(self, offset: int) -> int:
        """Send from `offset` on, until all is there or the device asks for the beginning; gives how far it came."""
        loop = asyncio.get_running_loop()
        device = self._device
        window_bytes = min(device.window, 8) * (device.transport.mtu or self._room)
        sender = Sender(len(self._data), offset, most=self._room, window_bytes=window_bytes, timeout_s=device.timeout_s)
        silent_since_s = loop.time()
        try:
            while not sender.done:
                sender.fix(self._fixed())
                while (chunk := sender.next(loop.time())) is not None:
                    self._fly(chunk)
                await asyncio.wait(self._tasks, timeout=sender.wait_s(loop.time()), return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in self._tasks if task.done()]:
                    chunk = self._tasks.pop(task)
                    answer = task.result()
                    silent_since_s = loop.time()
                    if self._checked(answer) == 0:
                        return sender.offset
                    self._drop(sender.answered(chunk, answer.off or 0, loop.time(), held=bool(answer.held)))
                    self._progress(sender.offset)
                self._drop(sender.late(loop.time()))
                self._drop([chunk for chunk in self._tasks.values() if chunk.number not in sender.flying])
                if loop.time() - silent_since_s > UPLOAD_ATTEMPTS * max(device.timeout_s, sender.timeout_s):
                    raise NoAnswerError(
                        f"{device.name}: upload stuck at byte {sender.offset} of {sender.size}; try again"
                    )
            return sender.offset
        finally:
            self._drop(list(self._tasks.values()))

    def _fixed(self) -> int | None:
        """Bytes of a chunk where the line is bad."""
        room = self._device.transport.loss.room()
        return None if room is None else max(1, min(room - self._overhead, self._room))

    def _fly(self, chunk: Chunk) -> None:
        task = asyncio.ensure_future(self._request(chunk.begin, chunk.end - chunk.begin))
        self._tasks[task] = chunk

    def _drop(self, chunks: list[Chunk]) -> None:
        """Wait no longer for the answers to these."""
        numbers = {chunk.number for chunk in chunks}
        for task in [task for task, chunk in self._tasks.items() if chunk.number in numbers]:
            del self._tasks[task]
            task.cancel()

    async def _request(self, offset: int, size: int, timeout_s: float = FOREVER_S) -> UploadAnswer:
        data = self._data[offset : offset + size]
        self.sent += len(data)
        if offset == 0:
            plain = self._way.kind == PLAIN
            first = UploadWrite(
                off=0,
                data=data,
                image=self._slot,
                len=len(self._data),
                sha=self._sha,
                enc=None if plain else ENCODINGS[self._way.kind],
                size=None if plain else self._module_size,
                base=self._way.base,
            )
            return await self._device.request(first, timeout_s=timeout_s, attempts=1)
        # The sender's own clock says when an answer is too late.
        return await self._device.request(UploadWrite(off=offset, data=data), timeout_s=timeout_s, attempts=1)

    def _checked(self, answer: UploadAnswer) -> int:
        if answer.rc:
            raise DeviceError(f"{self._device.name}: upload: error {answer.rc}", group=-1, code=answer.rc)
        if answer.off is None or not 0 <= answer.off <= len(self._data):
            raise BadAnswerError(f"{self._device.name}: upload: offset {answer.off} of {len(self._data)}")
        if answer.match is False:
            raise DeviceError(
                f"{self._device.name}: upload: digest mismatch at the end; try again",
                group=GROUP_IMAGE,
                code=IMG_MGMT_ERR.INVALID_HASH,
            )
        return answer.off
