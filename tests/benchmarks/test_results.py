# SPDX-License-Identifier: Apache-2.0
"""results.json holds what the report promises, the plot is drawn from it, and section sizes are read rightly."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

from bench import BenchError, DisagreementError
from bench.__main__ import arguments, plotted
from bench.kernels import SOURCES
from bench.measure import KernelTimes
from bench.plot import draw
from bench.report import Comparison, Results, table, update_json, write_json
from bench.sizes import function_sizes, section_sizes
from edge_engine.zig import DEVICE, ROOT, compile_objects

PEERS = {"c": 1.0, "wasel": 5.0, "wasel-fuel": 5.5, "wasm3": 10.0, "wasmtime": 1.25}


def _results(peers=PEERS):
    kernels = []
    for name, factor in (("fib", 1_000_000), ("sort", 4_000_000)):
        samples = {
            peer: [round(factor * ratio * wobble) for wobble in (0.9, 1.0, 1.3)] for peer, ratio in peers.items()
        }
        kernels.append(KernelTimes(name, 10, 400, False, 42, samples))
    return Results({"cpu": "a & b"}, {"rounds": 3, "scale": 1.0}, Comparison(kernels, {"c": "zig"}))


def test_sections_and_geometric_means():
    content = _results().as_dict()
    section = content["interpreter"]
    assert section["geomean_vs_native"] == pytest.approx(5.0)
    assert section["geomean_vs_wasm3"] == pytest.approx(0.5)
    assert section["geomean_vs_wasmtime"] == pytest.approx(4.0)
    assert section["fuel_cost"] == pytest.approx(1.1)
    assert section["worst_vs_wasm3"]["ratio"] == pytest.approx(0.5)
    assert content["kernels"]["sort"]["peers"]["wasel"] | {"spread": 0} == {
        "median_ms": 20.0,
        "spread": 0,
        "vs_native": 5.0,
        "vs_wasm3": 0.5,
        "vs_wasmtime": 4.0,
    }
    assert "native" not in content  # nothing ran that compiles ahead of time


def test_a_tier_that_did_not_run_has_no_section():
    assert "interpreter" not in _results({"c": 1.0, "wasm3": 10.0}).as_dict()


def test_comparisons_made_elsewhere_stand_beside_and_in_the_tier():
    results = _results()
    counted = _results({"c": 1.0, "wasel": 3.0, "wasm3": 9.0}).host
    results.elsewhere["aarch64_instructions"] = Comparison(counted.kernels, {}, "million_instructions")
    content = results.as_dict()
    assert content["interpreter"]["aarch64_instructions"]["geomean_vs_wasm3"] == pytest.approx(1 / 3, abs=1e-4)
    assert content["aarch64_instructions"]["kernels"]["fib"]["peers"]["wasel"]["median_million_instructions"] == 3.0
    assert content["interpreter"]["geomean_vs_wasm3"] == pytest.approx(0.5)  # as before


def test_written_atomically_and_read_back(tmp_path):
    content = _results().as_dict()
    write_json(content, tmp_path / "deep" / "results.json")
    assert json.loads((tmp_path / "deep" / "results.json").read_text()) == content
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["results.json"]


def test_sections_of_other_tools_are_kept(tmp_path):
    path = tmp_path / "results.json"
    update_json(_results().as_dict() | {"ipc": {"wasi_call_us": 38}, "stale": 1}, path)
    update_json(_results().as_dict(), path)
    content = json.loads(path.read_text())
    assert content["ipc"] == {"wasi_call_us": 38}
    assert "stale" not in content


def _elsewhere_only():
    results = Results({"cpu": "c"}, {"aarch64_rounds": 2}, Comparison([], {}))
    results.elsewhere["aarch64_qemu"] = _results({"c": 1.0, "wasel": 4.0, "wasm3": 10.0}).host
    return results.as_dict()


def test_a_run_elsewhere_alone_keeps_what_was_measured_here(tmp_path):
    path = tmp_path / "results.json"
    before = _results().as_dict()
    update_json(before, path)
    update_json(_elsewhere_only(), path)
    content = json.loads(path.read_text())
    assert content["kernels"] == before["kernels"]
    assert content["peers"] == before["peers"]
    assert content["machine"] == before["machine"]
    assert content["aarch64_qemu"]["settings"] == {"aarch64_rounds": 2}
    assert content["interpreter"]["aarch64_qemu"]["geomean_vs_wasm3"] == pytest.approx(0.4)
    assert content["interpreter"]["geomean_vs_wasm3"] == pytest.approx(0.5)


def test_a_run_elsewhere_alone_has_a_plot_of_its_own():
    where, shown = plotted(_elsewhere_only())
    assert "aarch64" in where
    root = ET.fromstring(draw(shown, ("wasel", "wasm3"), f"a{where}"))  # noqa: S314  (our own)
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) == 1 + 2 + 2 * 3


def test_samples_of_several_starts_are_put_together():
    first, second = _results().host.kernels[0], _results().host.kernels[0]
    first.add(second)
    assert {len(samples) for samples in first.samples_ns.values()} == {6}
    second.checksum = 43
    with pytest.raises(DisagreementError, match="0x2b"):
        first.add(second)


def test_table_has_a_row_for_each_kernel_and_the_means():
    rows = table(_results().host)
    assert [row[0] for row in rows] == ["kernel", "fib", "sort", "geometric mean"]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[-1][-1] == "0.50"


def test_plot_is_well_formed_and_has_a_bar_for_each_number():
    content = _results().as_dict()
    root = ET.fromstring(draw(content, ("wasel", "wasm3", "absent"), "a < b"))  # noqa: S314  (our own)
    rectangles = root.findall("{http://www.w3.org/2000/svg}rect")
    assert len(rectangles) == 1 + 2 + 2 * 3  # background, legend, two peers for two kernels and the mean


def test_sections_of_an_object_file(tmp_path):
    source = tmp_path / "sizes.c"
    source.write_text(
        "const char fixed[100] = {1};\nchar kept[40] = {2};\nchar zeros[60];\nint f(int x) { return x; }\n"
    )
    (compiled,) = compile_objects([source], tmp_path, DEVICE, ["-O2", "-fno-sanitize=all", "-fno-unwind-tables"])
    sizes = section_sizes(compiled)
    assert sizes["rodata"] == 100
    assert sizes["data"] == 40
    assert sizes["bss"] == 60
    assert 0 < sizes["text"] <= 16
    assert function_sizes(compiled) == {"f": sizes["text"]}


def test_not_an_object_file():
    with pytest.raises(BenchError, match="ELF"):
        section_sizes(SOURCES / "fib.c")


def test_committed_results_are_complete():
    path = ROOT / "bench" / "results.json"
    if not path.exists():
        pytest.skip("the bench has not been run in this checkout")
    content = json.loads(path.read_text())
    assert content["version"] == 1
    assert content["interpreter"]["geomean_vs_native"] > 0
    assert content["interpreter"]["geomean_vs_wasm3"] > 0
    for kernel in content["kernels"].values():
        assert {"c", "wasel", "wasm3", "wasmtime"} <= kernel["peers"].keys()


def test_options_that_would_measure_or_draw_nothing_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        arguments(["--peer", "c", "--peer", "wasel-native", "--plot", "plot.svg"])
    assert "--plot draws wasel, wasm3, wasmtime: measure one of them (--peer)" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        arguments(["--peer", "wasm3", "--only-aarch64"])
    assert "--peer chooses among the peers of this machine" in capsys.readouterr().err
    assert arguments(["--peer", "wasm3", "--plot", "plot.svg"]).plot.name == "plot.svg"
