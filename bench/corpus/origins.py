# SPDX-License-Identifier: Apache-2.0
"""Where the corpus comes from: the one list of packages, versions and files."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DRIVERS", "PACKAGES", "SDISTS", "Driver", "Package", "Sdist"]


@dataclass(frozen=True)
class Package:
    """An npm package and the modules in it that are wanted."""

    name: str
    version: str
    language: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Sdist:
    """A source archive of PyPI whose C files make one module that exports these functions."""

    name: str
    version: str
    sources: tuple[str, ...]  # glob patterns in the archive's folder
    exports: tuple[str, ...]
    include: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Driver:
    """A file in sources/ that pulls code in from the compiler's own libraries, at the optimisation levels given."""

    file: str
    levels: tuple[str, ...]


PACKAGES = (
    Package("@dimforge/rapier2d", "0.21.0", "Rust", ("rapier_wasm2d_bg.wasm",)),
    Package("@jitl/quickjs-wasmfile-release-sync", "0.32.0", "C", ("dist/emscripten-module.wasm",)),
    Package("@jsquash/jpeg", "1.6.0", "C", ("codec/dec/mozjpeg_dec.wasm", "codec/enc/mozjpeg_enc.wasm")),
    Package("@jsquash/png", "3.1.1", "Rust", ("codec/pkg/squoosh_png_bg.wasm",)),
    Package("@jsquash/webp", "1.5.0", "C", ("codec/dec/webp_dec.wasm", "codec/enc/webp_enc.wasm")),
    Package("@resvg/resvg-wasm", "2.6.2", "Rust", ("index_bg.wasm",)),
    Package("argon2-browser", "1.18.0", "C", ("dist/argon2.wasm",)),
    Package("box2d-wasm", "7.0.0", "C++", ("dist/es/Box2D.wasm",)),
    Package("draco3d", "1.5.9", "C++", ("draco_decoder.wasm", "draco_encoder.wasm")),
    Package("source-map", "0.8.0", "Rust", ("lib/mappings.wasm",)),
    Package("sql.js", "1.16.0", "C", ("dist/sql-wasm.wasm",)),
    Package("vscode-oniguruma", "2.0.1", "C", ("release/onig.wasm",)),
    Package("web-tree-sitter", "0.27.1", "C", ("web-tree-sitter.wasm",)),
    Package("yoga-wasm-web", "0.3.3", "C++", ("dist/yoga.wasm",)),
    Package("zxing-wasm", "3.1.4", "C++", ("dist/reader/zxing_reader.wasm", "dist/writer/zxing_writer.wasm")),
)

SDISTS = (
    Sdist(
        "brotli",
        "1.2.1",
        ("c/common/*.c", "c/dec/*.c", "c/enc/*.c"),
        ("BrotliEncoderCompress", "BrotliDecoderDecompress"),
        ("c/include",),
    ),
    Sdist(
        "pywasm3",
        "0.5.0",
        ("wasm3/*.c",),
        ("m3_NewEnvironment", "m3_NewRuntime", "m3_ParseModule", "m3_LoadModule", "m3_FindFunction", "m3_CallArgv"),
        ("wasm3",),
        ("-DNASSERTS", "-Dd_m3HasWASI=0"),
    ),
)

C_LEVELS = ("-O2",)  # the library itself is compiled at one level, whatever is asked for
ZIG_LEVELS = ("ReleaseFast", "ReleaseSmall")
DRIVERS = (
    *(Driver(f"{name}.c", C_LEVELS) for name in ("calendar", "files", "mathematics", "patterns", "print", "scan")),
    *(Driver(f"{name}.c", C_LEVELS) for name in ("search", "strings")),
    *(Driver(f"{name}.zig", ZIG_LEVELS) for name in ("ast", "ciphers", "containers", "curves", "inflate", "numbers")),
)
