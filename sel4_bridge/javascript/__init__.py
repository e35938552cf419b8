# SPDX-License-Identifier: Apache-2.0
"""JavaScript modules: a script and the QuickJS interpreter in one wasm32-wasi module (`wasel javascript`).

Contract: the same script gives the same bytes. QuickJS comes from the source package of PyPI's `quickjs`, pinned by
digest; it is compiled once and linked with each script. The script is checked for syntax when it starts, not when it is
built.

What scripts have: the language (ES2020) with Promises, console.log and console.error, print, scriptArgs, environment
(an object), readFile(path), writeFile(path, text), exit(code). No modules, no timers, no event loop beyond promises.
Known difference: toFixed, toPrecision and toExponential round exact ties to even, since WebAssembly has no other
rounding mode.

Errors: WaselError when QuickJS can't be fetched or built; UsageError for a script that can't be read.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from agent.errors import UsageError, WaselError
from edge_engine.paths import BUILD, ROOT
from edge_engine.zig import WASI, ToolError, compile_objects, link
from sel4_bridge.sdist import Sdist, SdistError

__all__ = ["QUICKJS", "build_interpreter", "build_module"]

QUICKJS = Sdist(
    project="quickjs",
    version="1.19.4",
    sha256="1205953abc24ff757f4a795304d5d61e4bf1e555c9ef6ec96a132d4b95535484",
    files=(
        "VERSION",
        "cutils.c",
        "cutils.h",
        "libbf.c",
        "libbf.h",
        "libregexp-opcode.h",
        "libregexp.c",
        "libregexp.h",
        "libunicode-table.h",
        "libunicode.c",
        "libunicode.h",
        "list.h",
        "quickjs-atom.h",
        "quickjs-opcode.h",
        "quickjs.c",
        "quickjs.h",
    ),
    subfolder="upstream-quickjs",
)
SOURCES = ("cutils.c", "libbf.c", "libregexp.c", "libunicode.c", "quickjs.c")
SHELL = ROOT / "sel4_bridge" / "javascript" / "shell.c"
STACK_SIZE = 256 * 1024  # bytes of C stack; shell.c gives QuickJS a part of it
FOREIGN_FLAGS = (
    "-Os",
    "-fno-strict-aliasing",
    "-w",  # not our code
    "-D_GNU_SOURCE",
    '-DCONFIG_VERSION="2021-03-27"',
    "-DEMSCRIPTEN",  # WebAssembly without threads and malloc_usable_size
    "-DFE_UPWARD=1",
    "-DFE_DOWNWARD=2",
)
LINK_FLAGS = ("-Wl,--strip-all", f"-Wl,-z,stack-size={STACK_SIZE}")
# C23 6.10.4: the script's bytes, ended by a NUL as JS_Eval wants them.
EMBED = """const char script_text[] = {
#embed "script.js" suffix(, 0) if_empty(0)
};
const unsigned long script_size = sizeof script_text - 1;
"""
OWN_FLAGS = ("-std=c17", "-Os", "-Wall", "-Wextra", "-Werror", f"-DSHELL_STACK={STACK_SIZE}")


def build_interpreter() -> list[Path]:
    """Compile QuickJS and the shell around it where that is missing or old; gives their objects.

    Raises:
        SdistError, ToolError: the sources can't be had, or the compiler refuses.

    """
    folder = BUILD / "javascript"
    sources = QUICKJS.fetch()
    objects = compile_objects([sources / name for name in SOURCES], folder / "quickjs", WASI, FOREIGN_FLAGS)
    return objects + compile_objects([SHELL], folder / "shell", WASI, (*OWN_FLAGS, f"-isystem{sources}"))


def build_module(script: Path) -> bytes:
    """Return a module that runs the script."""
    try:
        text = script.read_bytes()
        text.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{script}: cannot be read as a script: {error}") from error
    if b"\0" in text:
        raise UsageError(f"{script}: has a NUL character, which no script has")
    try:
        objects = build_interpreter()
        with tempfile.TemporaryDirectory(prefix="wasel-") as name:
            folder = Path(name)
            (folder / "script.js").write_bytes(text)
            (folder / "script.c").write_text(EMBED, encoding="ascii")
            objects += compile_objects([folder / "script.c"], folder, WASI, ("-std=c23",))
            return link(objects, folder / "script.wasm", WASI, LINK_FLAGS).read_bytes()
    except (SdistError, ToolError) as error:
        raise WaselError(f"{script}: JavaScript modules cannot be built here: {error}") from error
