# SPDX-License-Identifier: Apache-2.0
"""State and cache on disk: a kill at any system call leaves the old or the new content, and parts are prefixes."""

from __future__ import annotations

import hashlib
import os
import random

import pytest

from agent.agent_state import AgentState
from agent.errors import MessageError
from agent.files import KEEP, ModuleCache, replace_file
from agent.messages import Desired, DesiredSlot
from agent.reconcile import Record


class CutError(Exception):
    pass


def cut_after(monkeypatch, calls):
    """Make the process 'die' at the n-th durable step (fsync, replace)."""
    left = [calls]
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def step(*arguments, _real=real):
            if left[0] == 0:
                raise CutError
            left[0] -= 1
            return _real(*arguments)

        monkeypatch.setattr(os, name, step)


@pytest.mark.parametrize("calls", range(4))
def test_replaced_file_is_old_or_new(tmp_path, monkeypatch, calls):
    path = tmp_path / "file"
    replace_file(path, b"old")
    with monkeypatch.context() as patch:
        cut_after(patch, calls)
        if calls < 3:
            with pytest.raises(CutError):
                replace_file(path, b"new" * 1000)
        else:
            replace_file(path, b"new" * 1000)
    assert path.read_bytes() == (b"old" if calls < 2 else b"new" * 1000)


@pytest.mark.parametrize("calls", range(3))
def test_module_is_whole_or_absent(tmp_path, monkeypatch, calls):
    data = random.Random(1).randbytes(10000)
    digest = hashlib.sha256(data).digest()
    cache = ModuleCache(tmp_path)
    cache.append(digest, data[:4000])
    assert ModuleCache(tmp_path).offset(digest, len(data)) == 4000
    cache.append(digest, data[4000:])
    with monkeypatch.context() as patch:
        cut_after(patch, calls)
        with pytest.raises(CutError):
            cache.finish(digest)
    again = ModuleCache(tmp_path)
    assert again.has(digest) == (calls == 2)
    if not again.has(digest):
        assert again.offset(digest, len(data)) == len(data)
        assert again.finish(digest)
    assert again.read(digest) == data


def test_wrong_bytes_never_become_a_module(tmp_path):
    cache = ModuleCache(tmp_path)
    cache.append(bytes(32), b"other")
    assert not cache.finish(bytes(32))
    assert cache.offset(bytes(32), 5) == 0
    assert not cache.finish(bytes(32))
    cache.append(bytes(32), b"too long")
    assert cache.offset(bytes(32), 5) == 0
    with pytest.raises(ValueError, match="disagree"):
        cache.put(bytes(32), b"x")


def test_damage_on_disk_is_found(tmp_path):
    cache = ModuleCache(tmp_path)
    digest = hashlib.sha256(b"good").digest()
    cache.put(digest, b"good")
    (tmp_path / digest.hex()).write_bytes(b"evil")
    assert cache.read(digest) is None
    assert not cache.has(digest)


def test_eviction_keeps_what_is_needed(tmp_path):
    cache = ModuleCache(tmp_path)
    digests = []
    for n in range(KEEP + 4):
        digests.append(hashlib.sha256(bytes([n])).digest())
        cache.put(digests[-1], bytes([n]))
        os.utime(tmp_path / digests[-1].hex(), (n, n))
    cache.append(bytes(32), b"part of something old")
    cache.evict({digests[0]})
    assert [cache.has(digest) for digest in digests] == [True] + [False] * 3 + [True] * KEEP
    assert cache.offset(bytes(32), 100) == 0


def test_state_survives_and_damage_is_named(tmp_path):
    path = tmp_path / "state.json"
    state = AgentState.load(path)
    assert state.desired == Desired(0)
    state.desired = Desired(5, {0: DesiredSlot(bytes(32), 3, ("a",), ("K=V",), "n")})
    state.records[0] = Record(bytes(32), "cfg", 2)
    state.cursors[1] = 77
    state.save()
    assert AgentState.load(path) == state
    for damage in (b"", b"{}", b"[]", b'{"version": 9}', path.read_bytes()[:-20]):
        path.write_bytes(damage)
        with pytest.raises(MessageError, match=r"state\.json"):
            AgentState.load(path)
