# SPDX-License-Identifier: Apache-2.0
"""`python -m scripts.record_demo`: run what `make demo` runs and keep what it prints as docs/demo.svg.

The lines are the program's own, times and port included; nothing is left out or added but the command itself. The
picture asks no other host for anything: it names fonts, and takes what the reader's machine has.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from rich.console import CONSOLE_SVG_FORMAT, Console  # type: ignore[attr-defined]  # documented
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "demo.svg"
COLUMNS = 110
TIMEOUT_S = 900  # the first run builds library and image
# rich's own frame without the fonts that it fetches and without its comment
FRAME = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
STYLES = (
    (r"^\$ .*", "bold green"),
    (r"\[slot \d+ \w+\] .*", "cyan"),
    (r"slot \d+ switched from .*", "bold"),
    (r"^measured on.*|^deploying.*", "yellow"),
)


def record() -> list[str]:
    """Run the demo to its end and give its lines.

    Raises:
        subprocess.CalledProcessError: it failed; it has said why on stderr.

    """
    done = subprocess.run(
        [sys.executable, "-m", "qemu.demo"], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_S, check=True
    )
    return done.stdout.splitlines()


def picture(lines: list[str]) -> str:
    """Draw lines of a terminal as SVG; the same lines give the same bytes."""
    with Path("/dev/null").open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True, color_system="truecolor")
        for line in lines:
            text = Text(line)
            for pattern, style in STYLES:
                text.highlight_regex(pattern, style)
            console.print(text)
        svg = console.export_svg(title="make demo", code_format=FRAME, unique_id="wasel-demo")
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)


def main() -> None:
    """Record and write."""
    PICTURE.write_text(picture(["$ make demo", *record()]), encoding="utf-8")
    print(PICTURE)


if __name__ == "__main__":
    main()
