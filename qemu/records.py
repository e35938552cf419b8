# SPDX-License-Identifier: Apache-2.0
"""What is known about a device that was started: `devices/<name>/device.json` in the state folder.

Contract: the file is written old-or-new (a reader sees one whole version), by the launcher alone, under the device's
lock. A record is alive while its process is: same process number and same start time, so a number that the system gave
to another program meanwhile is not taken for the device. Readers elsewhere (agent/registry.py) use `port` alone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.registry import device_dir, state_root
from qemu.errors import DeviceStateError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Record", "all_records", "forget", "lock_device", "process_start", "read_record", "write_record"]

RECORD_NAME = "device.json"


@dataclass(frozen=True)
class Record:
    """One started device."""

    name: str
    pid: int
    process_start: int  # clock ticks after the machine's boot, tells a reused pid from ours
    port: str  # pyserial URL of the UART
    qmp: str  # path of the QMP socket
    log: str  # path of QEMU's own messages
    board: str
    kernel: str  # "standin" or "sel4"
    kernel_title: str  # as people shall read it
    image: str  # path
    image_bytes: int
    ready_ms: float | None  # wall clock from QEMU's start to `wasel: ready`; None: not ready yet

    @property
    def alive(self) -> bool:
        """Whether the very process that the record names is running."""
        return process_start(self.pid) == self.process_start


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks (proc_pid_stat(5), field 22), None if it is gone or a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the program's name, in brackets, may hold blanks
    state, start = fields[0], fields[19]
    return None if state in "ZX" else int(start)


def _sync_dir(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_record(folder: Path, record: Record) -> None:
    """Write device.json so that a crash leaves the old or the new version."""
    temporary = folder / f".{RECORD_NAME}.{os.getpid()}"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(dataclasses.asdict(record), file, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / RECORD_NAME)
    _sync_dir(folder)


def read_record(folder: Path) -> Record | None:
    """Read device.json; None if there is none or it is not ours (another version's file is stale, too)."""
    try:
        data: Any = json.loads((folder / RECORD_NAME).read_text(encoding="utf-8"))
        return Record(**data)
    except (OSError, ValueError, TypeError):
        return None


def forget(folder: Path) -> None:
    """Remove a device's record and sockets; the logs stay for whoever asks why."""
    for name in (RECORD_NAME, "qmp.sock"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).unlink()


def all_records() -> list[Record]:
    """Return every record in the state folder by name, stale ones too."""
    folder = state_root() / "devices"
    if not folder.is_dir():
        return []
    found = (read_record(path) for path in sorted(folder.iterdir()))
    return [record for record in found if record is not None]


@contextlib.contextmanager
def lock_device(name: str, root: Path | None = None) -> Iterator[Path]:
    """Hold a device's folder against other launchers; gives the folder, made if missing.

    Raises:
        DeviceStateError: another process is starting or stopping that device right now.

    """
    folder = device_dir(name, root)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DeviceStateError(f"device {name}: another command is starting or stopping it; try again") from None
        yield folder
