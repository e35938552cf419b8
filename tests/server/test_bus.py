# SPDX-License-Identifier: Apache-2.0
"""Messages between processes that go in parts: whole again, or not at all; a stranger's parts cost what is stated."""

import json

import pytest

from fleet.access import Role
from fleet.bus import Bus, Message
from fleet.bus_relay import MAX_TEXT, MAX_WORKERS, BusRelay


class Narrow(BusRelay):
    max_payload = 200


def said(relay, topic, data):
    return relay._split(json.dumps({"worker": relay._worker, "messages": [[topic, "log", data]]}))


@pytest.fixture
def hearing():
    relay = Narrow(Bus(), "hearing")
    relay.heard = []
    relay._bus.deliver = relay.heard.append
    return relay


def test_parts_are_put_together_whoever_speaks_between(hearing):
    one, two = Narrow(Bus(), "one"), Narrow(Bus(), "two")
    parts = said(one, "t", {"text": "x" * 900})
    assert len(parts) > 4
    assert all(len(part.encode()) <= Narrow.max_payload for part in parts)
    for part, between in zip(parts, said(two, "u", {"text": "y" * 900}), strict=True):
        hearing._heard(part)
        hearing._heard(between.encode())
    assert hearing.heard == [Message("t", "log", {"text": "x" * 900}), Message("u", "log", {"text": "y" * 900})]
    assert not hearing._parts


def test_a_message_with_a_lost_part_is_dropped_and_the_next_one_is_not(hearing):
    parts = said(Narrow(Bus(), "one"), "t", {"text": "x" * 900})
    for part in (*parts[:2], *parts[3:], *parts):
        hearing._heard(part)
    assert hearing.heard == [Message("t", "log", {"text": "x" * 900})]


@pytest.mark.parametrize("text", ["+", "+a", "+a b c\n", "+a 0 0\n{}", "+a -1 2\nx", "+a 0 1\nno json", "+a 0 1 2\n"])
def test_what_is_no_part_is_passed_over(hearing, text):
    hearing._heard(text)
    assert not hearing.heard


def test_what_is_kept_of_others_is_bounded(hearing):
    for number in range(3 * MAX_WORKERS):
        hearing._heard(f"+w{number} 0 9\nx")
    assert len(hearing._parts) == MAX_WORKERS
    for number in range(100):
        hearing._heard(f"+w {number} 1000\n" + "x" * (MAX_TEXT // 50))
    assert "w" not in hearing._parts


def test_a_topic_that_is_nothing_is_refused(acting):
    answer = acting(Role.VIEWER, "GET", "/stream", params={"topic": "x" * 129})
    assert answer.status_code == 422
    assert "128" in answer.text
