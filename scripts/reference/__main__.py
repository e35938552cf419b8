# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.reference NAME`: print one page."""

from __future__ import annotations

import sys

from scripts.reference import PAGES

if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) == 2 else ""  # noqa: PLR2004 - program and name
    if name not in PAGES:
        sys.exit(f"usage: python -m scripts.reference {{{', '.join(PAGES)}}}")
    sys.stdout.write(PAGES[name]())
