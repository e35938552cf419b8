# SPDX-License-Identifier: Apache-2.0
"""Runs the C compiler over generated C and takes the machine code out of what the linker makes.

Contract: the same module, options and compiler give the same bytes on any host. Parts of a large module are compiled
side by side. Results are kept by digest in ``$XDG_CACHE_HOME/wasel/native``. ToolError carries the tools' messages.
"""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edge_engine.aot.generate import Generated, generate
from edge_engine.aot.reader import ModuleReader
from edge_engine.aot.section import NONE, NativeCode, bare_module
from edge_engine.paths import ENGINE_INCLUDE
from edge_engine.zig import JOBS, ROOT, Target, ToolError, compiler_version, run_tool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TARGETS", "Compiled", "compile_module", "compile_modules", "link_code"]

SHT_SYMTAB = 2
HERE = Path(__file__).resolve().parent
TARGETS = {
    "x86_64": Target("native-x86_64", "x86_64-freestanding-none", ("-mcpu=x86_64",)),
    "aarch64": Target("native-aarch64", "aarch64-freestanding-none", ("-mcpu=cortex_a53",)),
}
EMULATIONS = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}
NOT_AGAIN = (
    "adce",
    "branch-folder",
    "called-value-propagation",
    "canon-freeze",
    "constraint-elimination",
    "correlated-propagation",
    "dse",
    "early-cse",
    "globalopt",
    "gvn",
    "indvars",
    "instcombine",
    "ipsccp",
    "licm",
    "loop-deletion",
    "loop-idiom",
    "loop-instsimplify",
    "loop-rotate",
    "memcpyopt",
    "reassociate",
    "sccp",
)
"""Passes of the compiler that the one that made the module has run; they would find next to nothing and take a third of
the time. Not among them: machine-sink and codegenprepare, without which code is slower, and jump-threading, without
which x86-64's register coalescer takes twice as long."""
FLAGS = (
    "-std=c17",
    "-O2",
    "-g0",
    "-w",
    "-ffreestanding",
    "-fPIC",
    "-fvisibility=hidden",
    "-fwrapv",
    "-fno-strict-aliasing",
    "-fno-finite-loops",
    "-fno-optimize-sibling-calls",
    "-ffp-contract=off",
    "-frounding-math",
    "-fno-math-errno",
    "-fno-stack-protector",
    "-funwind-tables",  # code.ld drops them; without, a function that only traps or never returns saves no frame
    "-fno-sanitize=all",
    "-fno-omit-frame-pointer",
    "-mno-omit-leaf-frame-pointer",
    "-Xclang",
    "-disable-lifetime-markers",  # every jump out of a block would end its variables' lives, one by one
    "-fno-vectorize",  # accesses are volatile: there is nothing to find
    "-fno-slp-vectorize",
    "-mllvm",
    f"-opt-disable={','.join(NOT_AGAIN)}",
    "-mllvm",
    "-grow-region-complexity-budget=50",  # of 10,000: splitting live ranges takes a quarter of the time otherwise
    "-mllvm",
    "-enable-shrink-wrap=false",  # a trap must find the frame of its function
    f"-I{HERE}",
    f"-I{ENGINE_INCLUDE}",
)
NO_UNROLLING = ("-fno-unroll-loops",)
"""Without fuel: unrolled loops charge it in one go; all else was unrolled where the module was made."""
SOURCES = ("generate.py", "reader.py", "values.py", "section.py", "generated.h", "support.c", "code.ld", "compiler.py")
ENGINE_SOURCES = ("src/native.h", "src/runtime.h", "src/module.h", "src/numeric.h", "src/vector.h", "src/arena.h")
ENGINE_TABLES = ("operations.py", "operations_simd.py", "src/opcodes.def")


@dataclass(frozen=True)
class Compiled:
    """What came of a module."""

    code: NativeCode
    compiled: int  # functions with native code
    refused: dict[int, str]  # functions that stay interpreted, and why
    cached: bool


@cache
def _tools_digest() -> bytes:
    """Digest of everything but the module that decides what comes out."""
    total = hashlib.sha256(compiler_version().encode())
    files = [HERE / name for name in SOURCES]
    files += [HERE.parent / name for name in (*ENGINE_SOURCES, *ENGINE_TABLES)]
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.digest()


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wasel" / "native"


def _symbols(elf: bytes) -> tuple[bytes, dict[str, int]]:
    """Contents of .text, and the addresses of all symbols."""
    (offset,) = struct.unpack_from("<Q", elf, 40)
    entry_size, count, names_at = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + n * entry_size) for n in range(count)]

    def contents(header: tuple[int, ...]) -> bytes:
        return elf[header[4] : header[4] + header[5]]

    names = contents(headers[names_at])
    text = b""
    symbols: dict[str, int] = {}
    for header in headers:
        name = names[header[0] : names.index(b"\0", header[0])]
        if name == b".text":
            text = contents(header)
        if header[1] == SHT_SYMTAB:
            table, strings = contents(header), contents(headers[header[6]])
            for at in range(0, len(table), 24):
                name_at, _info, _other, _section, value, _size = struct.unpack_from("<IBBHQQ", table, at)
                symbols[strings[name_at : strings.index(b"\0", name_at)].decode()] = value
    return text, symbols


def _build(
    parts: tuple[str, ...],
    target: str,
    folder: Path,
    progress: Callable[[int, int], None],
    flags: tuple[str, ...] = (),
) -> bytes:
    """Compile and link; the linked ELF file."""
    sources = []
    for number, part in enumerate(parts):
        source = folder / f"part{number:03}.c"
        source.write_text(part if number else f'{part}\n#include "support.c"\n')
        sources.append(source)
    done = 0
    progress(0, len(sources))

    def compile_one(source: Path) -> Path:
        output = folder / f"{source.stem}.o"
        run_tool(["cc", *TARGETS[target].arguments(), *FLAGS, *flags, "-c", str(source), "-o", str(output)], cwd=ROOT)
        return output

    with ThreadPoolExecutor(max_workers=JOBS) as pool:
        objects = []
        for output in pool.map(compile_one, sources):
            objects.append(output)
            done += 1
            progress(done, len(sources))
    linked = folder / "code.elf"
    run_tool(
        [
            *("ld.lld", "-m", EMULATIONS[target], "-T", str(HERE / "code.ld")),
            *("--no-undefined", "--build-id=none", "-e", "0"),
            *(str(item) for item in objects),
            *("-o", str(linked)),
        ],
        cwd=folder,
    )
    return linked.read_bytes()


def link_code(parts: tuple[str, ...], target: str, flags: tuple[str, ...] = ()) -> tuple[bytes, dict[str, int]]:
    """Compile C of the caller's own as a module's would be: the code, and where its symbols are in it. ToolError."""
    with tempfile.TemporaryDirectory(prefix="wasel-native-") as folder:
        return _symbols(_build(parts, target, Path(folder), lambda _done, _all: None, flags))


def compile_modules(
    modules: Sequence[bytes],
    target: str,
    *,
    fuel: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    use_cache: bool = True,
) -> list[Compiled]:
    """Compile valid modules into one piece of code that all their sections share: many small ones cost one compiler.

    ``progress`` hears how many files of how many are compiled.
    """
    bares = [bare_module(module) for module in modules]
    readers = [ModuleReader(bare) for bare in bares]
    prefixes = ["" if len(modules) == 1 else f"m{number}_" for number in range(len(modules))]
    key = hashlib.sha256(_tools_digest() + f"{target} {fuel}".encode())
    for bare in bares:
        key.update(hashlib.sha256(bare).digest())
    generated = [generate(reader, fuel=fuel, prefix=prefix) for reader, prefix in zip(readers, prefixes, strict=True)]
    kept = _cache_folder() / f"{key.hexdigest()}.elf"
    cached = use_cache and kept.exists()
    if cached:
        elf = kept.read_bytes()
    else:
        parts = generated[0].parts if len(modules) == 1 else ("\n".join(part for of in generated for part in of.parts),)
        with tempfile.TemporaryDirectory(prefix="wasel-native-") as folder:
            elf = _build(parts, target, Path(folder), progress, () if fuel else NO_UNROLLING)
        if use_cache:
            _keep(kept, elf)
    text, symbols = _symbols(elf)
    if "wn_abi" not in symbols:
        raise ToolError(["ld.lld"], "the linked code has no symbol wn_abi")
    (abi,) = struct.unpack_from("<I", text, symbols["wn_abi"])
    return [
        Compiled(
            NativeCode(target, abi, fuel, _entries(reader, of, prefix, symbols), text),
            len(of.compiled),
            of.refused,
            cached,
        )
        for reader, of, prefix in zip(readers, generated, prefixes, strict=True)
    ]


def _keep(path: Path, elf: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(elf)
    temporary.replace(path)


def _entries(
    reader: ModuleReader, generated: Generated, prefix: str, symbols: dict[str, int]
) -> tuple[tuple[int, int], ...]:
    return tuple(
        (symbols[f"{prefix}f{function.index}"], symbols[f"{prefix}e{generated.trampolines[function.index]}"])
        if function.index in generated.trampolines
        else (NONE, NONE)
        for function in reader.functions
    )


def compile_module(
    module: bytes,
    target: str,
    *,
    fuel: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    use_cache: bool = True,
) -> Compiled:
    """Compile a valid module; ``progress`` hears how many files of how many are compiled."""
    return compile_modules([module], target, fuel=fuel, progress=progress, use_cache=use_cache)[0]
