# SPDX-License-Identifier: Apache-2.0
"""Which kernels this machine can run a device on, for the parts that do the same on each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qemu.boards import BOARDS

if TYPE_CHECKING:
    from soak import Soak

__all__ = ["kernels"]


def kernels(soak: Soak) -> list[str]:
    """Return the kernels' names; what is missing is told as left out."""
    names = [kernel.name for kernel in BOARDS[0].kernels]
    if not os.environ.get("MICROKIT_SDK"):
        soak.left_out("genuine seL4: MICROKIT_SDK does not name an unpacked Microkit SDK")
        names.remove("sel4")
    return names
