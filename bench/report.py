# SPDX-License-Identifier: Apache-2.0
"""From samples to numbers: results.json and the table on the terminal.

results.json (version 1): ``machine``, ``settings``, then the comparison on this machine: ``versions``,
``kernels.<name>`` (rounds, wasm_bytes, checksum, and ``peers.<peer>`` with median_ms, spread, vs_native, vs_wasm3,
vs_wasmtime) and ``peers.<peer>`` with the geometric means. ``startup.<module>`` has bytes and microseconds by peer.
Each tier of ours has a section, such as ``interpreter``: geomean_vs_<base> for each base that ran, the worst kernel
against wasm3, fuel_cost, and whatever else was measured of it (code_size, arena). A comparison made elsewhere, such as
``aarch64_qemu``, is a section like the top level, and its means stand in the tiers' sections under the same name.
Times are milliseconds of one call, ratios are time divided by the base's time: smaller is better.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measure import KernelTimes, geomean
from edge_engine.zig import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BASES",
    "ELSEWHERE",
    "TIERS",
    "Comparison",
    "Results",
    "Tier",
    "machine",
    "table",
    "update_json",
    "update_section",
    "write_json",
]

SCHEMA_VERSION = 1
FOREIGN_SECTIONS = (
    "ipc",
    "device",
    "device_native",
    "native_compiler",
)  # measured by other tools, on a device; a run of this one keeps them
ELSEWHERE = ("aarch64_qemu", "aarch64_instructions")  # comparisons that are not on this machine
BASES = {"native": "c", "wasm3": "wasm3", "wasmtime": "wasmtime"}  # name in results.json: peer


@dataclass(frozen=True)
class Tier:
    """A section of results.json about one of our own ways to run wasm."""

    section: str
    peer: str
    fuel_peer: str


TIERS = (Tier("interpreter", "wasel", "wasel-fuel"), Tier("native", "wasel-native", "wasel-native-fuel"))


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10)
    return done.stdout.strip()


def machine() -> dict[str, object]:
    """Return what the numbers were taken on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    commit = _git("rev-parse", "--short", "HEAD") + (" and changes" if _git("status", "-s", "edge_engine") else "")
    return {
        "architecture": platform.machine(),
        "cpu": model,
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
    }


@dataclass
class Comparison:
    """Samples of all peers in one place. ``unit`` is what a millionth of the numbers is called."""

    kernels: list[KernelTimes]
    versions: dict[str, str]
    unit: str = "ms"

    def peers(self) -> list[str]:
        """Names of the peers that ran, in order."""
        return list(self.kernels[0].samples_ns) if self.kernels else []

    def geomean(self, peer: str, base: str) -> float:
        """Geometric mean over the kernels of ``peer``'s number divided by ``base``'s."""
        return geomean(times.ratio(peer, base) for times in self.kernels)

    def _means(self, peer: str) -> dict[str, float]:
        ran = self.peers()
        return {f"geomean_vs_{name}": round(self.geomean(peer, base), 4) for name, base in BASES.items() if base in ran}

    def tier(self, tier: Tier) -> dict[str, Any]:
        """Return what is said of one of our own tiers."""
        ran = self.peers()
        section: dict[str, Any] = dict(self._means(tier.peer))
        if "wasm3" in ran:
            worst = max(self.kernels, key=lambda times: times.ratio(tier.peer, "wasm3"))
            section["worst_vs_wasm3"] = {"kernel": worst.name, "ratio": round(worst.ratio(tier.peer, "wasm3"), 4)}
        if tier.fuel_peer in ran:
            section["fuel_cost"] = round(self.geomean(tier.fuel_peer, tier.peer), 4)
        return section

    def _kernel(self, times: KernelTimes) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        for peer in self.peers():
            entry = {f"median_{self.unit}": round(times.median_ms(peer), 4), "spread": round(times.spread(peer), 4)}
            for name, base in BASES.items():
                if base in self.peers():
                    entry[f"vs_{name}"] = round(times.ratio(peer, base), 4)
            entries[peer] = entry
        return {
            "rounds": times.rounds,
            "wasm_bytes": times.wasm_bytes,
            "floating": times.floating,
            "checksum": f"{times.checksum:#018x}",
            "peers": entries,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return kernels, means and versions as they stand in results.json."""
        return {
            "versions": self.versions,
            "kernels": {times.name: self._kernel(times) for times in self.kernels},
            "peers": {peer: self._means(peer) for peer in self.peers()},
        }


@dataclass
class Results:
    """Everything one run of the bench found out."""

    machine: dict[str, object]
    settings: dict[str, object]
    host: Comparison
    elsewhere: dict[str, Comparison] = field(default_factory=dict)  # by name in results.json
    startup: dict[str, dict[str, object]] = field(default_factory=dict)  # by module
    extras: dict[str, dict[str, object]] = field(default_factory=dict)  # by section of a tier

    def as_dict(self) -> dict[str, Any]:
        """Return the content of results.json."""
        sections: dict[str, Any] = {}
        for tier in TIERS:
            there = {
                name: comparison.tier(tier)
                for name, comparison in self.elsewhere.items()
                if tier.peer in comparison.peers()
            }
            here = self.host.tier(tier) if tier.peer in self.host.peers() else {}
            found = here | there | self.extras.get(tier.section, {})
            if found:
                sections[tier.section] = {"peer": tier.peer} | found
        return {
            "version": SCHEMA_VERSION,
            "machine": self.machine,
            "settings": self.settings,
            **self.host.as_dict(),
            "startup": self.startup,
            **sections,
            **{name: comparison.as_dict() for name, comparison in self.elsewhere.items()},
        }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)


def update_json(content: dict[str, Any], path: Path) -> None:
    """Write what was measured; the file keeps what this run left out.

    Those are sections that other tools measure (FOREIGN_SECTIONS) and, where nothing was compared on this machine,
    whatever else was: then ``machine`` and ``settings`` stay what they were, the sections written have their own.
    """
    try:
        old = json.loads(path.read_text())
    except FileNotFoundError:
        old = {}
    if content["kernels"] or not old:
        write_json(
            content | {name: old[name] for name in FOREIGN_SECTIONS if name in old and name not in content}, path
        )
        return
    taken = {"machine": content["machine"], "settings": content["settings"]}
    found = {name: content[name] | taken for name in ELSEWHERE if name in content}
    tiers = {tier.section: old.get(tier.section, {}) | content.get(tier.section, {}) for tier in TIERS}
    write_json(old | found | {name: section for name, section in tiers.items() if section}, path)


def update_section(name: str, content: dict[str, Any], path: Path) -> None:
    """Put `content` into one of FOREIGN_SECTIONS; what else is in it, and every other section, stays."""
    try:
        old = json.loads(path.read_text())
    except FileNotFoundError:
        old = {}
    write_json(old | {name: old.get(name, {}) | content}, path)


def table(comparison: Comparison) -> Sequence[Sequence[str]]:
    """Header, one row per kernel, and the geometric means; numbers divided by native code's."""
    ran = comparison.peers()
    base = "c" if "c" in ran else ran[0]
    shown = [peer for peer in ran if peer != base]
    compare = [base for base in ("wasm3",) if base in ran and "wasel" in ran]
    unit = comparison.unit.replace("_", " ")
    rows = [["kernel", f"{base}, {unit}", *shown, *(f"wasel ÷ {other}" for other in compare)]]
    for times in comparison.kernels:
        row = [times.name, f"{times.median_ms(base):.2f}", *(f"{times.ratio(peer, base):.2f}" for peer in shown)]
        rows.append([*row, *(f"{times.ratio('wasel', other):.2f}" for other in compare)])
    means = ["geometric mean", "", *(f"{comparison.geomean(peer, base):.2f}" for peer in shown)]
    rows.append([*means, *(f"{comparison.geomean('wasel', other):.2f}" for other in compare)])
    return rows
