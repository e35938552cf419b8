# SPDX-License-Identifier: Apache-2.0
"""The tables that the engine is generated from fit each other."""

from __future__ import annotations

from edge_engine.generate import handler_keys, read_order


def test_the_order_of_handlers_names_each_once():
    assert sorted(read_order()) == sorted(handler_keys().values()), "run python -m bench.layout"
