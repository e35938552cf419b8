# SPDX-License-Identifier: Apache-2.0
"""From samples to numbers: results.json and the table on the terminal.

results.json (version 1): ``machine``, ``settings``, ``versions``, ``kernels.<name>`` (rounds, wasm_bytes, checksum, and
``peers.<peer>`` with median_ms, spread, vs_native, vs_wasm3, vs_wasmtime), ``peers.<peer>`` with the geometric means,
``startup.<module>`` with bytes and median_us by peer, and one section for each tier of ours, such as ``interpreter``:
geomean_vs_<base> for each base that ran, the worst kernel against wasm3, fuel_cost, and whatever else was measured of
it (code_size, arena). Other sections (native, ipc) stand beside it.
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

__all__ = ["BASES", "TIERS", "Results", "machine", "write_json"]

SCHEMA_VERSION = 1
BASES = {"native": "c", "wasm3": "wasm3", "wasmtime": "wasmtime"}  # name in results.json: peer


@dataclass(frozen=True)
class Tier:
    """A section of results.json about one of our own ways to run wasm."""

    section: str
    peer: str
    fuel_peer: str


TIERS = (Tier("interpreter", "wasel", "wasel-fuel"), Tier("native", "wasel-native", "wasel-native-fuel"))


def machine() -> dict[str, object]:
    """Return what the numbers were taken on."""
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    except OSError:
        pass
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=10
    ).stdout.strip()
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
class Results:
    """Everything one run of the bench found out."""

    machine: dict[str, object]
    settings: dict[str, object]
    versions: dict[str, str]
    kernels: list[KernelTimes]
    startup: dict[str, dict[str, object]] = field(default_factory=dict)  # by module
    extras: dict[str, dict[str, object]] = field(default_factory=dict)  # by section of a tier

    def peers(self) -> list[str]:
        """Names of the peers that ran, in order."""
        return list(self.kernels[0].samples_ns) if self.kernels else []

    def geomean(self, peer: str, base: str) -> float:
        """Geometric mean over the kernels of ``peer``'s time divided by ``base``'s."""
        return geomean(times.ratio(peer, base) for times in self.kernels)

    def _section(self, tier: Tier) -> dict[str, Any]:
        ran = self.peers()
        section: dict[str, Any] = {"peer": tier.peer}
        for name, base in BASES.items():
            if base in ran:
                section[f"geomean_vs_{name}"] = round(self.geomean(tier.peer, base), 4)
        if "wasm3" in ran:
            worst = max(self.kernels, key=lambda times: times.ratio(tier.peer, "wasm3"))
            section["worst_vs_wasm3"] = {"kernel": worst.name, "ratio": round(worst.ratio(tier.peer, "wasm3"), 4)}
        if tier.fuel_peer in ran:
            section["fuel_cost"] = round(self.geomean(tier.fuel_peer, tier.peer), 4)
        return section | self.extras.get(tier.section, {})

    def as_dict(self) -> dict[str, Any]:
        """Return the content of results.json."""
        ran = self.peers()
        kernels: dict[str, Any] = {}
        for times in self.kernels:
            entries: dict[str, Any] = {}
            for peer in ran:
                entry = {"median_ms": round(times.median_ms(peer), 4), "spread": round(times.spread(peer), 4)}
                entry |= {
                    f"vs_{name}": round(times.ratio(peer, base), 4) for name, base in BASES.items() if base in ran
                }
                entries[peer] = entry
            kernels[times.name] = {
                "rounds": times.rounds,
                "wasm_bytes": times.wasm_bytes,
                "floating": times.floating,
                "checksum": f"{times.checksum:#018x}",
                "peers": entries,
            }
        peers = {
            peer: {
                f"geomean_vs_{name}": round(self.geomean(peer, base), 4) for name, base in BASES.items() if base in ran
            }
            for peer in ran
        }
        sections = {tier.section: self._section(tier) for tier in TIERS if tier.peer in ran}
        return {
            "version": SCHEMA_VERSION,
            "machine": self.machine,
            "settings": self.settings,
            "versions": self.versions,
            "kernels": kernels,
            "peers": peers,
            "startup": self.startup,
            **sections,
        }


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write atomically; sections of an older file that this run did not measure are not kept."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(content, indent=2) + "\n")
    temporary.replace(path)


def table(results: Results) -> Sequence[Sequence[str]]:
    """Header, one row per kernel, and the geometric means; times ÷ native code."""
    ran = results.peers()
    base = "c" if "c" in ran else ran[0]
    shown = [peer for peer in ran if peer != base]
    compare = "wasel" in ran and "wasm3" in ran
    rows = [["kernel", f"{base} ms", *(f"{peer} ÷" for peer in shown), *(["wasel ÷ wasm3"] if compare else [])]]
    for times in results.kernels:
        row = [times.name, f"{times.median_ms(base):.2f}", *(f"{times.ratio(peer, base):.2f}" for peer in shown)]
        rows.append([*row, *([f"{times.ratio('wasel', 'wasm3'):.2f}"] if compare else [])])
    means = ["geometric mean", "", *(f"{results.geomean(peer, base):.2f}" for peer in shown)]
    rows.append([*means, *([f"{results.geomean('wasel', 'wasm3'):.2f}"] if compare else [])])
    return rows
