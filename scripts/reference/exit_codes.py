# SPDX-License-Identifier: Apache-2.0
"""Exit codes of `wasel`, out of agent.errors: the table, and the errors that lead to each code."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from agent.errors import EXIT_CODES, WaselError
from scripts.reference.text import cell, first_line, table

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["error_classes", "exit_code_reference"]

HEAD = """# Exit codes of `wasel`

Every error is one line on stderr that begins with `wasel: ` and says what happened, where, and what to do. The text of
a command's own output goes to stdout.

"""
MIDDLE = """
`wasel run` ends with the module's own exit code (modulo 256), so a module that calls `proc_exit(3)` is told from a
refused one by its stderr. `wasel flash --start` and `wasel start` end with 0 once the module is accepted, whatever it
does later; ask `wasel ps`.

## Errors

What the code calls them; an error of Python's own is a defect, and ends with 1.

"""
PARTS = (
    "agent.build",
    "agent.enroll",
    "agent.manifest",
    "agent.module_file",
    "agent.profile",
    "agent.project",
    "agent.root",
    "agent.signing",
    "fleet.errors",
    "fleet.twin",
    "fleet.twin_report",
    "fleet.virtual_module",
    "qemu.demo",
    "qemu.elf_file",
    "qemu.errors",
    "qemu.programs",
    "qemu.system_file",
)
"""Modules with errors of their own beside agent.errors."""


def error_classes() -> Iterator[type[WaselError]]:
    """Yield WaselError and everything below it that the parts define."""
    for part in PARTS:
        import_module(part)
    pending = [WaselError]
    while pending:
        cls = pending.pop(0)
        yield cls
        pending += cls.__subclasses__()


def exit_code_reference() -> str:
    """Return the page."""
    codes = ((str(code), word, examples) for code, (word, examples) in sorted(EXIT_CODES.items()))
    classes = sorted(error_classes(), key=lambda cls: (cls.exit_code, cls.__module__, cls.__name__))
    errors = (
        (str(cls.exit_code), f"`{cls.__name__}`", f"`{cls.__module__}`", cell(first_line(cls)))
        for cls in classes
        if not cls.__name__.startswith("_")
    )
    return (
        HEAD
        + table(("code", "meaning", "examples"), codes)
        + MIDDLE
        + table(("code", "error", "where", "what"), errors)
    )
