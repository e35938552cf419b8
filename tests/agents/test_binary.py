# SPDX-License-Identifier: Apache-2.0
"""Numbers and custom sections of the binary format."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.binary import custom_section, decode_unsigned, encode_unsigned
from agent.module_file import custom_section as content_of
from tests.engine.binary import encode_signed


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=3))
def test_a_number_comes_back_with_the_place_behind_it(value, before):
    data = before + encode_unsigned(value) + b"\x80"
    assert decode_unsigned(data, len(before)) == (value, len(data) - 1)


@pytest.mark.parametrize(
    ("value", "data"),
    [(0, "00"), (63, "3f"), (64, "c000"), (-1, "7f"), (-64, "40"), (-65, "bf7f"), (-123456, "c0bb78")],
)
def test_signed_numbers(value, data):
    assert encode_signed(value).hex() == data


@pytest.mark.parametrize("data", ["", "80", "ffffffff"])
def test_a_number_that_is_cut_off(data):
    with pytest.raises(ValueError, match="at 0x0 goes past its end"):
        decode_unsigned(bytes.fromhex(data), 0)


@pytest.mark.parametrize("data", ["ffffffff10", "8080808080", "808080808000"])
def test_a_number_with_more_than_32_bits(data):
    with pytest.raises(ValueError, match="at 0x0 has more than 32 bits"):
        decode_unsigned(bytes.fromhex(data), 0)


def test_nothing_is_read_behind_the_end_that_is_given():
    with pytest.raises(ValueError, match="at 0x1 goes past its end"):
        decode_unsigned(bytes.fromhex("00808001"), 1, 3)


def test_a_custom_section_has_its_name_and_its_content():
    module = b"\0asm\1\0\0\0" + custom_section("a name", bytes(300))
    assert content_of(module, "a name") == bytes(300)
