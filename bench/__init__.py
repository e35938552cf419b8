# SPDX-License-Identifier: Apache-2.0
"""``python -m bench``: how fast, how small and how quick to start the engine is, beside its peers and native code.

Not part of the wheel. ``kernels/`` holds the C sources; ``kernels.py`` builds them; ``worker.py`` and ``runner/`` run
them, one process per peer; ``measure.py`` asks the workers in turn; ``report.py`` and ``plot.py`` write what came out.
``bare/`` runs the same runners on aarch64 under QEMU, ``corpus/`` gathers foreign modules to train on.

Errors::

    BenchError              the bench itself cannot go on: a worker died, a tool is missing, a number is absurd
    └── DisagreementError   two peers computed different results from the same kernel
"""

from __future__ import annotations

__all__ = ["BenchError", "DisagreementError"]


class BenchError(Exception):
    """The bench cannot go on; the text says which peer and kernel, and what to do."""


class DisagreementError(BenchError):
    """Two peers computed different checksums: one of them, or the compiler, is wrong."""
