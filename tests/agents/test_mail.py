# SPDX-License-Identifier: Apache-2.0
"""Mail records arrive once and in order, whatever is repeated or lost on the line; errors have WASI's numbers."""

from __future__ import annotations

import random

import pytest

from agent.errors import MessageError
from agent.mail import ERRNOS, Kind, Mailbox, Record, errno_of, u32
from sel4_bridge import wasi_table


class Device:
    """What the supervisor does with `exchange`: sel4_bridge/supervisor/mail.c."""

    def __init__(self, up_first=0, down_next=0, room=3):
        self.up, self.up_first, self.taken, self.down_next, self.room = [], up_first, [], down_next, room

    def exchange(self, up, down, data):
        while self.up and self.up_first < up:
            self.up.pop(0)
            self.up_first += 1
        room = self.room
        for number, record in enumerate(data, start=down):
            if number == self.down_next and room:
                self.taken.append(record)
                self.down_next += 1
                room -= 1
        return self.up_first, self.down_next, self.up[:2]


@pytest.mark.parametrize("seed", range(20))
def test_each_record_arrives_once_whatever_is_lost(seed):
    chance = random.Random(seed)
    device, box = Device(up_first=chance.randrange(50), down_next=chance.randrange(50)), Mailbox()
    sent_up, heard, sent_down = [], [], []
    for turn in range(400):
        if turn < 200 and chance.random() < 0.5:
            record = Record(Kind.DATA, turn % 12, 0, 1, b"%d" % turn)
            sent_down.append(record)
            box.send(record)
        if turn < 200 and chance.random() < 0.5:
            record = Record(Kind.DATA, 1, 0, 1, b"up %d" % turn)
            sent_up.append(record)
            device.up.append(record.encode())
        request = box.request()
        if chance.random() < 0.3:
            continue  # the request is lost
        answer = device.exchange(*request)
        if chance.random() < 0.3:
            continue  # the answer is
        heard += box.answered(*answer)
    assert heard == sent_up
    assert [Record.parse(record) for record in device.taken] == sent_down
    assert not box.waiting
    assert not box.lost


def test_a_device_that_was_restarted_is_noticed():
    device, box = Device(up_first=9), Mailbox()
    box.answered(*device.exchange(*box.request()))
    device = Device()
    box.answered(*device.exchange(*box.request()))
    assert box.lost


def test_records():
    record = Record(Kind.OPEN, 3, 1, 7, u32(8192) + b"topic")
    assert record.encode() == bytes.fromhex("020301000700000000200000746f706963")
    assert Record.parse(record.encode()) == record
    assert (record.number, record.rest) == (8192, b"topic")
    with pytest.raises(MessageError, match="head"):
        Record.parse(b"short")


def test_error_numbers_are_those_of_the_table():
    assert {name: wasi_table.ERRNOS.index(name) for name in ERRNOS} == ERRNOS
    assert errno_of(ConnectionRefusedError()) == wasi_table.ERRNOS.index("connrefused")
    assert errno_of(TimeoutError()) == wasi_table.ERRNOS.index("timedout")
    assert errno_of(OSError(98, "in use")) == wasi_table.ERRNOS.index("addrinuse")
    assert errno_of(OSError(5, "io")) == wasi_table.ERRNOS.index("io")
