# SPDX-License-Identifier: Apache-2.0
"""A fleet server as users start it (`wasel fleet serve`), in processes of its own, for the parts that load it.

Contract: `async with fleet_site(folder) as site` gives a server with its broker, an admin's client, and what their
processes take; all are down when the block ends. `restart_server` kills the server and starts it on the same ports.
Devices connect to the broker's local listener, without TLS: ten thousand handshakes say little about a server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from agent.arena import engine_view
from agent.errors import WaselError
from agent.module_file import append_section
from fleet.virtual_module import with_script
from qemu.bound import bound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

__all__ = ["FleetSite", "SiteError", "fleet_site", "module", "postgres"]

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
ANSWER_TIMEOUT_S = 300.0
DEPLOY_AT_ONCE = 20_000  # devices in one request: the API takes no more
EMPTY = b"\0asm\1\0\0\0"
LISTENER = re.compile(r"^listener (\d+) 127\.0\.0\.1$", re.MULTILINE)


class SiteError(WaselError):
    """The server or its database does not start, or refuses what it should take."""


def module(number: int, size: int, *lines: str) -> bytes:
    """Make a module of about `size` bytes that virtual devices play; each number another one."""
    plain = with_script(EMPTY, f"print version {number}", *(lines or ("run",)))
    return append_section(plain, "padding", number.to_bytes(8, "big") + bytes(max(0, size - len(plain) - 40)))


@dataclass
class FleetSite:
    """A running server."""

    folder: Path
    database: str
    workers: int
    http: httpx.AsyncClient
    port: int
    broker_port: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where the server answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def token(self) -> str:
        """The admin's."""
        return str(self.http.headers["Authorization"]).partition(" ")[2]

    @property
    def broker_url(self) -> str:
        """The broker's local listener."""
        text = (self.folder / "data" / "broker" / "mosquitto.conf").read_text(encoding="utf-8")
        return f"mqtt://127.0.0.1:{LISTENER.findall(text)[-1]}"

    def environment(self) -> dict[str, str]:
        """Our environment with folders of our own."""
        return {**os.environ, "WASEL_STATE": str(self.folder / "state")}

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Ask the API; SiteError for a refusal."""
        try:
            answer = await self.http.request(method, f"/api/v1{path}", **options)
        except httpx.HTTPError as error:
            raise SiteError(f"{method} {path}: {error!r}") from error
        if answer.is_error:
            raise SiteError(f"{method} {path}: {answer.status_code}: {answer.text[:300]}")
        return answer.json() if answer.content else None

    async def upload(self, data: bytes) -> str:
        """Upload a module; gives its digest in hexadecimal."""
        answer = await self.ask("POST", "/artifacts", content=data, params={"file": "soak.wasm"})
        return str(answer["digest"])

    async def enroll(self, names: Sequence[str]) -> dict[str, str]:
        """Make devices known; gives their passwords."""
        return dict(await self.ask("POST", "/devices/many", json={"names": list(names)}))

    async def deploy(self, names: Sequence[str], digest: str) -> None:
        """Have devices run a module in slot 0."""
        for first in range(0, len(names), DEPLOY_AT_ONCE):
            batch = list(names[first : first + DEPLOY_AT_ONCE])
            await self.ask("POST", "/deploy", json={"devices": batch, "artifact": digest})

    # Processes

    def pids(self) -> list[int]:
        """Process numbers of the server: parent and workers, without the broker."""
        if self.process is None:
            return []
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            with contextlib.suppress(OSError):
                name = Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip()
                if name != "mosquitto":
                    found.append(pid)
                for task in Path(f"/proc/{pid}/task").iterdir():
                    todo += map(int, (task / "children").read_text(encoding="ascii").split())
        return found

    def broker_pid(self) -> int | None:
        """Process number of the broker."""
        for pid in self._children():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text(encoding="ascii").strip() == "mosquitto":
                    return pid
        return None

    def _children(self) -> list[int]:
        if self.process is None:
            return []
        children: list[int] = []
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{self.process.pid}/task").iterdir():
                children += map(int, (task / "children").read_text(encoding="ascii").split())
        return children

    def peak_mib(self) -> float:
        """Peak of resident memory (VmHWM) of the server's largest process, in MiB."""
        return round(max([0, *(_kib(pid, "status", "VmHWM:") for pid in self.pids())]) / 1024, 1)

    def together_mib(self) -> float:
        """Memory of all the server's processes now, pages that they share counted once (PSS), in MiB."""
        return round(sum(_kib(pid, "smaps_rollup", "Pss:") for pid in self.pids()) / 1024, 1)

    def cpu_s(self) -> dict[str, float]:
        """Processor time that server and broker have used until now, in seconds."""
        broker = self.broker_pid()
        return {"server": sum(map(_cpu_s, self.pids())), "broker": _cpu_s(broker) if broker is not None else 0.0}

    async def start(self) -> None:
        """Start the server and wait until it serves."""
        arguments = [
            *("fleet", "serve", "--data", str(self.folder / "data"), "--port", str(self.port)),
            *("--broker-port", str(self.broker_port), "--allow-unsigned", "--workers", str(self.workers)),
            *(("--database", self.database) if self.database else ()),
        ]
        with (self.folder / "server.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *bound([sys.executable, "-m", "agent", *arguments]),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment(),
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while self.process.returncode is None:
                    with contextlib.suppress(httpx.HTTPError):
                        if (await self.http.get("/healthz")).status_code == 200:  # noqa: PLR2004
                            return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            pass
        raise SiteError(f"the server does not start: {self.last_words()}")

    def last_words(self) -> str:
        """Give the end of the server's log."""
        text = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
        return " / ".join(text.strip().splitlines()[-8:]) or "it says nothing"

    async def kill(self) -> None:
        """Kill the server's processes as a crash would; the broker goes with its parent."""
        pids = self.pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()
        broker = self.broker_pid()
        if broker is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(broker, signal.SIGKILL)

    async def stop(self) -> None:
        """End the server in order."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            await self.kill()


def _kib(pid: int, file: str, key: str) -> int:
    """Give a number of KiB of a process; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def _cpu_s(pid: int) -> float:
    """Give a process's user and system time in seconds; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def _run(*arguments: str, environment: dict[str, str] | None = None) -> None:
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
    )
    output, _ = await process.communicate()
    if process.returncode:
        words = output.decode("utf-8", "replace").strip().splitlines()
        raise SiteError(f"{Path(arguments[0]).name}: ended with {process.returncode}: {words[-1] if words else ''}")


@contextlib.asynccontextmanager
async def fleet_site(folder: Path, *, database: str = "", workers: int = 1) -> AsyncIterator[FleetSite]:
    """Run a server for the time of the block."""
    # The first module that is looked at has the engine built; the server would do it at the first upload, for a minute.
    await asyncio.to_thread(engine_view, EMPTY)
    port = _free_port()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER_TIMEOUT_S) as http:
        site = FleetSite(folder, database, workers, http, port, _free_port())
        await _run(
            *(sys.executable, "-m", "agent", "fleet", "bootstrap", "soak", "--data", str(folder / "data")),
            *("--url", f"http://127.0.0.1:{port}"),
            *(("--database", database) if database else ()),
            environment=site.environment(),
        )
        saved = json.loads((folder / "state" / "fleet" / "client.json").read_text(encoding="utf-8"))
        http.headers["Authorization"] = f"Bearer {saved['token']}"
        try:
            await site.start()
            yield site
        finally:
            await site.stop()


def _postgres_program(name: str) -> str | None:
    found = shutil.which(name)
    if found is None:
        for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
            if (folder / name).exists():
                return str(folder / name)
    return found


@contextlib.asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[str | None]:
    """Run a PostgreSQL of our own in a folder, on a Unix socket there; gives its URL, None where there is none.

    PostgreSQL does not run as root: then it runs as `nobody`, and the folder belongs to that user.
    """
    initdb, server = _postgres_program("initdb"), _postgres_program("postgres")
    setpriv = shutil.which("setpriv")
    if initdb is None or server is None or (os.geteuid() == 0 and setpriv is None):
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - once, before anything runs
    prefix: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
        for parent in folder.parents:  # nobody has to get there
            if parent.stat().st_mode & 0o001 == 0:
                parent.chmod(parent.stat().st_mode | 0o011)
        prefix = [str(setpriv), "--reuid=nobody", "--clear-groups", "--pdeathsig", "KILL"]
    data = folder / "data"
    await _run(*prefix, initdb, "-D", str(data), "-U", "wasel", "--auth=trust", "--no-sync", "-E", "UTF8")
    options = {"listen_addresses": "", "unix_socket_directories": str(folder), "max_connections": "200"}
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(prefix or bound([])),
            *(server, "-D", str(data)),
            *(text for name, value in options.items() for text in ("-c", f"{name}={value}")),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not (folder / ".s.PGSQL.5432").exists():
                if process.returncode is not None:
                    raise SiteError(f"postgres ended with {process.returncode}; see {folder / 'log'}")
                await asyncio.sleep(0.1)
        yield f"postgresql://wasel@/postgres?host={folder}"
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # fast shutdown
            try:
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
