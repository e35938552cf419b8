# SPDX-License-Identifier: Apache-2.0
"""A WASI call's round trip costs at most 1.5 bare calls, in executed instructions, which no busy host changes."""

from __future__ import annotations

import pytest

from bench.roundtrip.__main__ import measure_ratio
from tests.wasi.device import needs

pytestmark = pytest.mark.system


@pytest.mark.parametrize("kernel", ["standin", "sel4"])
async def test_a_call_beside_a_bare_one(kernel):
    needs(kernel)
    assert 1.0 < await measure_ratio(kernel) <= 1.5
