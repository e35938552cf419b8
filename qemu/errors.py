# SPDX-License-Identifier: Apache-2.0
"""Everything that qemu/ raises on purpose; the root of all is `agent.errors.WaselError`, which the CLI reports.

    QemuError [1]               something between us and the emulated device; the text says what to do
    ├── MissingToolError [1]    a program or SDK of the machine is missing; the text says what to install
    ├── ImageError [1]          the device image could not be built
    ├── DeviceStateError [4]    the device is up when it should be down, or the other way round
    └── BootError [4]           QEMU ended, stayed silent, or booted something else than asked for

Exit codes in brackets. A board, kernel or option that does not exist is `agent.errors.UsageError`.
"""

from __future__ import annotations

from agent.errors import EXIT_LINK, WaselError

__all__ = ["BootError", "DeviceStateError", "ImageError", "MissingToolError", "QemuError"]


class QemuError(WaselError):
    """Something between us and the emulated device."""


class MissingToolError(QemuError):
    """A program or SDK is not on this machine."""


class ImageError(QemuError):
    """The device image could not be built."""


class DeviceStateError(QemuError):
    """A device with that name is already up, or none is."""

    exit_code = EXIT_LINK


class BootError(QemuError):
    """The device did not get ready."""

    exit_code = EXIT_LINK
