# SPDX-License-Identifier: Apache-2.0
"""Puts into a wheel what its user should not need a compiler for: library, programs and images, built here.

hatchling runs this hook (pyproject.toml). The files land in each package's folder `prebuilt`, where
`edge_engine.paths.prebuilt` finds them. They are built by zig against glibc 2.31, hence the wheel's platform tag. An
editable install gets nothing: a checkout builds what it needs when it needs it.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

GLIBC = "2_31"  # as in edge_engine.zig.HOST


class PrebuiltFiles(BuildHookInterface):
    """Build and add the files."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Everything that building takes: what the package needs, and the compiler."""
        core = self.metadata.core
        return [*core.dependencies, *core.optional_dependencies["compile"]]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Fill `force_include` and the tag of a standard wheel."""
        if self.target_name != "wheel" or version == "editable":
            return
        sys.path.insert(0, self.root)
        self._scratch = tempfile.TemporaryDirectory(prefix="wasel-wheel-")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-manylinux_{GLIBC}_{platform.machine()}"
        build_data["force_include"] |= {str(source): target for target, source in self._files().items()}

    def finalize(self, _version: str, _build_data: dict[str, Any], _artifact_path: str) -> None:
        """Remove what only the archive needed."""
        scratch = getattr(self, "_scratch", None)
        if scratch is not None:
            scratch.cleanup()

    def _files(self) -> dict[str, Path]:
        """Build; where each file goes in the wheel."""
        from edge_engine.build import build_host as build_library
        from edge_engine.paths import PREBUILT
        from qemu.simulator_build import build_simulator
        from qemu.simulator_files import DIGEST, DOMAINS, PROGRAM, SIMULATOR
        from sel4_bridge.build import build_device
        from sel4_bridge.host_build import build_host as build_program

        library, program, simulator = build_library(), build_program(), build_simulator()
        digest = Path(self._scratch.name) / DIGEST
        digest.write_text(simulator.digest, encoding="ascii")
        files = {
            f"edge_engine/{PREBUILT}/{library.library.name}": library.library,
            f"edge_engine/{PREBUILT}/{library.declarations.name}": library.declarations,
            f"sel4_bridge/{PREBUILT}/{program.name}": program,
            f"qemu/{PREBUILT}/standin.bin": build_device("standin").image,
            f"qemu/{PREBUILT}/{SIMULATOR}/{PROGRAM}": simulator.program,
            f"qemu/{PREBUILT}/{SIMULATOR}/{DIGEST}": digest,
        }
        for domain in simulator.domains.glob("*.so"):
            files[f"qemu/{PREBUILT}/{SIMULATOR}/{DOMAINS}/{domain.name}"] = domain
        return files
