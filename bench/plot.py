# SPDX-License-Identifier: Apache-2.0
"""The plot in docs/: a bar per kernel and peer, time divided by native code's on a logarithmic axis, as SVG.

Contract: takes the content of results.json and nothing else, so a plot can be drawn again from a file. Plain SVG 1.1,
no script, readable on a light and on a dark page. Does not measure.
"""

from __future__ import annotations

from math import ceil, floor, log10
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["draw"]

COLOURS = {
    "wasel": "#0f766e",
    "wasel-fuel": "#5eaaa3",
    "wasel-native": "#134e4a",
    "wasm3": "#d97706",
    "wasm3-clang": "#f0b469",
    "wasmtime": "#6d5bd0",
    "wasmtime-fuel": "#a99ee6",
}
BAR, GAP, LEFT, TOP, WIDTH, RIGHT = 11, 12, 120, 64, 640, 56  # pixels


def _text(x: float, y: float, content: str, *, size: int = 12, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}">'
        f"{escape(content)}</text>"
    )


def draw(results: dict[str, Any], peers: Sequence[str], title: str) -> str:
    """SVG text with the peers given, in that order; peers that did not run are left out."""
    shown = [peer for peer in peers if peer in results["peers"]]
    rows = [
        (name, [(peer, kernel["peers"][peer]["vs_native"]) for peer in shown])
        for name, kernel in results["kernels"].items()
    ]
    rows.append(("geometric mean", [(peer, results["peers"][peer]["geomean_vs_native"]) for peer in shown]))
    values = [value for _, bars in rows for _, value in bars]
    low, high = floor(log10(min([*values, 1.0]))), max(1, ceil(log10(max(values))))
    group = BAR * len(shown) + GAP
    height = TOP + group * len(rows) + 48

    def across(value: float) -> float:
        return LEFT + (log10(value) - low) / (high - low) * (WIDTH - LEFT)

    size = f'width="{WIDTH + RIGHT}" height="{height}"'
    look = f'viewBox="0 0 {WIDTH + RIGHT} {height}" font-family="sans-serif" role="img" fill="#24292f"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {look}>',
        f"<title>{escape(title)}</title>",
        f'<rect {size} fill="#ffffff"/>',
        _text(12, 22, title, size=15, weight="bold"),
    ]
    x = 12.0
    for peer in shown:
        parts.append(f'<rect x="{x:.1f}" y="34" width="11" height="11" fill="{COLOURS.get(peer, "#888888")}"/>')
        parts.append(_text(x + 16, 44, peer))
        x += 34 + 7 * len(peer)
    bottom = TOP + group * len(rows) - GAP / 2
    for power in range(low, high + 1):
        for step in (1, 2, 5):
            value = step * 10.0**power
            if value > 10.0**high:
                break
            strong = "#57606a" if value == 1 else "#d8dee4"
            at = across(value)
            parts.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom:.1f}" stroke="{strong}"/>')
            parts.append(_text(at, bottom + 16, f"{value:g}", size=11, anchor="middle"))
    y = float(TOP)
    for name, bars in rows:
        weight = "bold" if name == "geometric mean" else "normal"
        parts.append(_text(LEFT - 8, y + (group - GAP) / 2 + 4, name, anchor="end", weight=weight))
        for peer, value in bars:
            start, end = sorted((across(1.0), across(value)))
            parts.append(
                f'<rect x="{start:.1f}" y="{y:.1f}" width="{max(end - start, 1):.1f}" height="{BAR - 1}" '
                f'fill="{COLOURS.get(peer, "#888888")}"/>'
            )
            parts.append(_text(max(end, start) + 4, y + BAR - 2, f"{value:.2f}", size=10, weight=weight))
            y += BAR
        y += GAP
    note = f"time ÷ native code from the same C source, logarithmic; {results['machine']['cpu']}"
    parts.append(_text(12, height - 10, note, size=11))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
