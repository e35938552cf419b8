# SPDX-License-Identifier: Apache-2.0
"""`python -m soak.worker NAME SEED SCALE`: run one part; events as lines of JSON on standard output, the rest on error.

A process of its own for each part: one that crashes or hangs takes nobody with it. Exit code 0 if the part came to its
end, whatever it saw on the way.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from soak import Soak, TooManyViolationsError, find_part


def main(name: str, seed: str, scale: str) -> None:
    """Run the part."""
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the part or its children print is no event
    with tempfile.TemporaryDirectory(prefix=f"wasel-soak-{name}-") as folder:
        soak = Soak(name, Path(folder), events, seed=int(seed), scale=float(scale))

        async def run() -> None:
            await find_part(name).run(soak)

        try:
            asyncio.run(run())
        except TooManyViolationsError as end:
            sys.exit(str(end))


if __name__ == "__main__":
    main(*sys.argv[1:])
