# SPDX-License-Identifier: Apache-2.0
"""Build a project's module by the command in its project file.

Errors: BuildFailedError, with what the build printed, or with what to install where its program is missing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from agent.errors import WaselError

if TYPE_CHECKING:
    from pathlib import Path

    from agent.project import Project

__all__ = ["BuildFailedError", "build_project"]

BUILD_TIMEOUT_S = 900.0


class BuildFailedError(WaselError):
    """The project's build failed; the text holds what it printed."""


def _words(project: Project) -> list[str]:
    places = {"{python}": sys.executable, "{wasel}": sys.executable}
    words: list[str] = []
    for word in project.build:
        words.append(places.get(word, word))
        if word == "{wasel}":
            words += ["-P", "-m", "agent"]  # -P: a folder "agent" in the project is not ours
    return words


def build_project(project: Project) -> Path:
    """Run the build in the project's folder and return the module's path."""
    words = _words(project)
    if shutil.which(words[0]) is None:
        hint = f": {project.install}" if project.install else ""
        raise BuildFailedError(f"{project.folder}: the build needs {words[0]}, which is not installed{hint}")
    project.file.parent.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(
            words,
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=BUILD_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise BuildFailedError(f"{project.folder}: the build was not done after {BUILD_TIMEOUT_S:g} s") from None
    except OSError as error:
        raise BuildFailedError(f"{project.folder}: {words[0]}: {error.strerror or error}") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout.rstrip(), project.install and f"needs: {project.install}") if line]
        raise BuildFailedError(f"{project.folder}: the build ended with {done.returncode}\n" + "\n".join(lines))
    if not project.file.is_file():
        raise BuildFailedError(f"{project.folder}: the build made no {project.file}; does its command name that file?")
    return project.file
