# SPDX-License-Identifier: Apache-2.0
"""What the bench measured last, out of bench/results.json: numbers that change with every run stand nowhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from edge_engine.paths import ROOT
from scripts.reference.text import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["measures_reference"]

RESULTS = ROOT / "bench" / "results.json"
HEAD = """# Measured

What `make bench` measured last, out of `bench/results.json` when this site was built. How it is measured, and what is
not, is in `bench/README.md`.

"""
PLACES = {"simulator": "host simulator", "standin": "stand-in kernel, QEMU", "sel4": "genuine seL4, QEMU"}
KINDS = {"start_to_ready": "start to ready", "reset_to_ready": "reset to ready"}


def _machine(machine: Mapping[str, Any]) -> str:
    return (
        f"On {machine['cpus']} processors ({machine['cpu']}, {machine['architecture']}), load {machine['load_before']} "
        f"before, {machine['taken'][:10]}, commit {machine['commit']}."
    )


def _peers(results: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for name, peer in results["peers"].items():
        version = results["versions"].get(name, "")
        against = [peer[f"geomean_vs_{other}"] for other in ("native", "wasm3")]
        yield f"`{name}`", version, *(f"{value:.2f}" for value in against)


def _kernels(results: Mapping[str, Any], peers: list[str]) -> Iterator[list[str]]:
    for name, kernel in results["kernels"].items():
        medians = (kernel["peers"].get(peer, {}).get("median_ms") for peer in peers)
        yield [name, *("" if one is None else f"{one:.1f}" for one in medians)]


def _boots(boot: Mapping[str, Any]) -> Iterator[tuple[str, str, str, str]]:
    for place, words in PLACES.items():
        for kind, what in KINDS.items():
            one = boot.get(place, {}).get(kind)
            if one is not None:
                yield words, what, f"{one['median_ms']:g} ms", f"{one['least_ms']:g} to {one['most_ms']:g} ms"


def measures_reference() -> str:
    """Return the page."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    peers = list(results["peers"])
    interpreter, boot = results["interpreter"], results["device"]["boot"]
    worst = interpreter["worst_vs_wasm3"]
    machine = _machine(results["machine"])
    parts = [HEAD, "## The interpreter beside others\n\nProcessor time as a multiple of native code's and of wasm3's, "]
    parts.append(f"geometric mean over all kernels; less is faster. {machine}\n\n")
    parts.append(table(("engine", "version", "native = 1", "wasm3 = 1"), _peers(results)))
    parts.append(
        f"\nThe worst kernel against wasm3 is `{worst['kernel']}` with {worst['ratio']:.2f}. Counting fuel costs a "
        f"factor of {interpreter['fuel_cost']:.2f}.\n\nMedians in ms:\n\n"
    )
    parts.append(table(("kernel", *(f"`{peer}`" for peer in peers)), _kernels(results, peers)))
    for key, words in (("aarch64_qemu", "time under QEMU"), ("aarch64_instructions", "executed instructions")):
        if key in interpreter:
            native, wasm3 = (interpreter[key][f"geomean_vs_{other}"] for other in ("native", "wasm3"))
            parts.append(f"\nOn AArch64, {words}: {native:.2f} times native code, {wasm3:.2f} times wasm3.\n")
    size = interpreter["code_size"]
    parts.append(f"\nCode for `{size['target']}`: {size['code_bytes']:,} bytes, ")
    parts.append(f"{size['code_without_simd_bytes']:,} without SIMD.\n\n## Boot and reset\n\n")
    parts.append(f"From the start of the process, or the reset, to `wasel: ready`. {_machine(boot['machine'])}\n\n")
    parts.append(table(("where", "what", "median", "range"), _boots(boot)))
    if "peak_kib" in boot.get("simulator", {}):
        parts.append(f"\nThe host simulator had at most {boot['simulator']['peak_kib'] / 1024:.1f} MiB resident.\n")
    return "".join(parts)
