# SPDX-License-Identifier: Apache-2.0
"""One peer in a process of its own: ``python -m bench.worker PEER``, commands on stdin, answers on stdout.

The protocol, which ``runner/main.c`` speaks too; one line each way, fields separated by a space, so paths hold none::

    version                   ->  ok TEXT
    load NAME PATH            ->  ok NANOSECONDS             load and start a module, keep it under NAME
    run NAME ROUNDS           ->  ok NANOSECONDS CHECKSUM    one call of run(ROUNDS): the thread's processor time
    startup PATH COUNT ROUNDS ->  ok NANOSECONDS...          COUNT times: bytes in memory to started, then run(ROUNDS)
                                                             unless that is 0, and forgotten
    usage NAME                ->  ok KEY=BYTES...            what the peer knows about the memory it uses
    anything that fails       ->  error TEXT

Runs are timed by the thread's processor time, which other processes on a busy machine disturb least; loads and starts
by the clock on the wall, since an engine may use several threads for them. A module is started as its users would: with
``_start`` called where it is exported. WASI calls get answers that are enough for a hello, written nowhere. Does not
check results: the asking side does.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["WORKERS", "main"]

STACK_BYTES = 256 * 1024  # of wasm3; the deepest kernel needs a few
FUEL = 1 << 62


class Worker(Protocol):
    """What a peer must be able to do."""

    def version(self) -> str:
        """Name and version of the engine."""

    def load(self, path: Path) -> Callable[[int], int]:
        """Load and start; returns the module's run()."""

    def startup(self, data: bytes, rounds: int) -> Callable[[], None]:
        """Return a function that loads and starts a module, calls run(rounds) unless that is 0, and forgets it."""


class NativeWorker:
    """The kernel's shared object, called through ctypes (well under a microsecond)."""

    def version(self) -> str:
        """Compiler that made it."""
        return f"zig {version('ziglang')}"

    def load(self, path: Path) -> Callable[[int], int]:
        """Load the shared object."""
        run = ctypes.CDLL(str(path)).run
        run.argtypes = [ctypes.c_int32]
        run.restype = ctypes.c_int64
        return run

    def startup(self, data: bytes, rounds: int) -> Callable[[], None]:
        """Native code has no module to load."""
        raise NotImplementedError(f"native code does not load {len(data)} bytes of wasm for {rounds} rounds")


class Wasm3Worker:
    """pywasm3 as its package builds it: wasm3 interprets its own translation, made at the first call."""

    def version(self) -> str:
        """Version of the binding, which is wasm3's."""
        return f"wasm3 {version('pywasm3')}"

    def _instance(self, data: bytes) -> Any:
        import wasm3  # type: ignore[import-not-found]  # noqa: PLC0415  (only this worker needs it)

        environment = wasm3.Environment()
        runtime = environment.new_runtime(STACK_BYTES)
        module = environment.parse_module(data)
        runtime.load(module)
        return environment, runtime, module

    def load(self, path: Path) -> Callable[[int], int]:
        """Load and translate."""
        keep = self._instance(path.read_bytes())
        run = keep[1].find_function("run")
        return lambda rounds: run(rounds) if keep else 0

    def startup(self, data: bytes, rounds: int) -> Callable[[], None]:
        """Load, look the entry point up (which translates it), call it if it is a program."""
        entry = "_start" if b"_start" in data else "run"

        def start() -> None:
            _environment, runtime, module = self._instance(data)
            if entry == "_start":
                for name, (signature, answer) in _wasm3_wasi(lambda: runtime.get_memory(0)).items():
                    try:
                        module.link_function("wasi_snapshot_preview1", name, signature, answer)
                    except RuntimeError:
                        continue  # not imported by this module
            function = runtime.find_function(entry)
            if rounds > 0:
                function(rounds)
            elif entry == "_start":
                try:
                    function()
                except (RuntimeError, SystemExit) as ended:
                    if "exit" not in str(ended).lower():
                        raise

        return start


def _wasm3_wasi(memory: Callable[[], Any]) -> dict[str, tuple[str, Callable[..., Any]]]:
    def fd_write(_fd: int, vectors: int, count: int, written: int) -> int:
        view = memory()
        total = 0
        for i in range(count):
            at = vectors + 8 * i + 4
            total += int.from_bytes(view[at : at + 4], "little")
        view[written : written + 4] = total.to_bytes(4, "little")
        return 0

    def zeros(first: int, second: int) -> int:
        view = memory()
        view[first : first + 4] = view[second : second + 4] = bytes(4)
        return 0

    def proc_exit(_code: int) -> None:
        raise SystemExit("exit")

    return {
        "fd_write": ("i(iiii)", fd_write),
        "environ_sizes_get": ("i(ii)", zeros),
        "args_sizes_get": ("i(ii)", zeros),
        "environ_get": ("i(ii)", lambda _a, _b: 0),
        "args_get": ("i(ii)", lambda _a, _b: 0),
        "fd_close": ("i(i)", lambda _fd: 0),
        "fd_seek": ("i(iIii)", lambda _fd, _offset, _whence, _result: 70),
        "fd_fdstat_get": ("i(ii)", lambda _fd, _result: 0),
        "fd_prestat_get": ("i(ii)", lambda _fd, _result: 8),
        "proc_exit": ("v(i)", proc_exit),
    }


class WasmtimeWorker:
    """wasmtime as its package ships it: Cranelift, machine code made when the module is loaded."""

    def __init__(self, *, fuel: bool) -> None:
        import wasmtime  # noqa: PLC0415  (only this worker needs it)

        self.api = wasmtime
        self.fuel = fuel
        config = wasmtime.Config()
        config.consume_fuel = fuel
        self.engine = wasmtime.Engine(config)

    def version(self) -> str:
        """Version of the binding, which is wasmtime's."""
        return f"wasmtime {version('wasmtime')}"

    def _instance(self, data: bytes) -> Any:
        store = self.api.Store(self.engine)
        if self.fuel:
            store.set_fuel(FUEL)
        module = self.api.Module(self.engine, data)
        linker = self.api.Linker(self.engine)
        if module.imports:
            linker.define_wasi()
            store.set_wasi(self.api.WasiConfig())
        return store, linker.instantiate(store, module)

    def load(self, path: Path) -> Callable[[int], int]:
        """Compile and instantiate."""
        store, instance = self._instance(path.read_bytes())
        run = instance.exports(store)["run"]
        return lambda rounds: int(run(store, rounds))

    def startup(self, data: bytes, rounds: int) -> Callable[[], None]:
        """Compile, instantiate, call the entry point of a program."""

        def start() -> None:
            store, instance = self._instance(data)
            entry = instance.exports(store).get("_start")
            if rounds > 0:
                instance.exports(store)["run"](store, rounds)
            if entry is not None:
                try:
                    entry(store)
                except self.api.ExitTrap:
                    return

        return start


WORKERS: dict[str, Callable[[], Worker]] = {
    "c": NativeWorker,
    "wasm3": Wasm3Worker,
    "wasmtime": lambda: WasmtimeWorker(fuel=False),
    "wasmtime-fuel": lambda: WasmtimeWorker(fuel=True),
}


def answer(worker: Worker, loaded: dict[str, Callable[[int], int]], words: list[str]) -> str:
    """Carry out one command; raises what the peer raises."""
    match words:
        case ["version"]:
            return worker.version()
        case ["load", name, path]:
            begin = time.perf_counter_ns()
            loaded[name] = worker.load(Path(path))
            return str(time.perf_counter_ns() - begin)
        case ["run", name, rounds]:
            run, count = loaded[name], int(rounds)
            begin = time.thread_time_ns()
            result = run(count)
            return f"{time.thread_time_ns() - begin} {result}"
        case ["startup", path, count, rounds]:
            start = worker.startup(Path(path).read_bytes(), int(rounds))
            times = []
            for _ in range(int(count)):
                begin = time.perf_counter_ns()
                start()
                times.append(str(time.perf_counter_ns() - begin))
            return " ".join(times)
        case ["usage", _]:
            return ""
    raise ValueError(f"no such command: {' '.join(words)}")


def main(name: str) -> None:
    """Answer commands until stdin ends."""
    worker = WORKERS[name]()
    loaded: dict[str, Callable[[int], int]] = {}
    gc.disable()
    for line in sys.stdin:
        try:
            print("ok", answer(worker, loaded, line.split()), flush=True)
        except Exception as error:  # noqa: BLE001  (whatever it was, the asking side must hear of it)
            print("error", type(error).__name__, " ".join(str(error).split()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
