# SPDX-License-Identifier: Apache-2.0
"""The filter language: what is parsed matches in SQL what it says; whatever else comes is refused by name and place."""

from __future__ import annotations

import contextlib
import fnmatch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from fleet.database import Database, upgrade
from fleet.errors import InvalidError
from fleet.filters import All, And, Not, Or, Test, compile_filter, parse
from fleet.models import Artifact, Device, DeviceSlot, DeviceTag

DEVICES = [
    ("pump-1", {"site": "lab", "hold": ""}, True, 5, ("running", "a" * 64)),
    ("pump-2", {"site": "Lab"}, False, 0, ("trapped", "b" * 64)),
    ("fan_1", {"site": 'a "quoted" \\ name'}, True, 2, None),
    ("100%", {}, True, 0, ("empty", None)),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('filters') / 'x.db'}"
    upgrade(url)
    store = Database(url)
    with store.write() as session:
        session.add(
            Artifact(
                digest="a" * 64, size=1, file="a", name="pump", version="1.2.0", sequence=7, signature="trusted",
                uploaded_by="x", created_ms=1,
            )
        )  # fmt: skip
        for name, tags, online, failures, slot in DEVICES:
            device = Device(name=name, online=online, failures=failures, created_ms=1, kernel="sel4")
            device.tags = [DeviceTag(key=key, value=value) for key, value in tags.items()]
            device.slots = [DeviceSlot(slot=0, state=slot[0], digest=slot[1], changed_ms=1)] if slot else []
            device.desired = []
            session.add(device)
    yield store
    store.close()


def match(database, tree):
    with database.read() as session:
        return set(session.scalars(select(Device.name).where(compile_filter(tree))))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("all", {"pump-1", "pump-2", "fan_1", "100%"}),
        ("tag.site = lab", {"pump-1"}),
        ("tag.site ~ LAB", {"pump-1", "pump-2"}),
        ("tag.site != lab", {"pump-2", "fan_1", "100%"}),
        ("tag.site", {"pump-1", "pump-2", "fan_1"}),
        ("not tag.site", {"100%"}),
        (r'tag.site = "a \"quoted\" \\ name"', {"fan_1"}),
        ("name ~ pump-?", {"pump-1", "pump-2"}),
        ("name ~ fan?1", {"fan_1"}),
        ('name ~ "*%"', {"100%"}),
        ("name ~ fan-1", set()),
        ("name in (pump-1, fan_1)", {"pump-1", "fan_1"}),
        ("online and failures > 1", {"pump-1", "fan_1"}),
        ("online = false", {"pump-2"}),
        ("failures in (0, 2)", {"pump-2", "fan_1", "100%"}),
        ("slot.0.state = running", {"pump-1"}),
        ("not slot.0.state in (running, trapped)", {"fan_1", "100%"}),
        ("slot.0.module = pump and slot.0.version = 1.2.0", {"pump-1"}),
        ("slot.0.sequence < 8", {"pump-1"}),
        ("slot.1.state = running", set()),
        ("serial = x", set()),
        ("serial != x", {"pump-1", "pump-2", "fan_1", "100%"}),
        ("not (tag.hold or online) and all", {"pump-2"}),
        ("name = a or name = pump-1 and online", {"pump-1"}),
    ],
)
def test_filters(database, text, names):
    assert match(database, parse(text)) == names


@pytest.mark.parametrize(
    "text",
    [
        "", "   ", "name", "name =", "= x", "name = a b", "name == a", "and", "not", "(name = a", "name = a)",
        "name in ()", "name in (a", "name in (a,)", "colour = red", "tag. = x", "tag", "slot.0 = x",
        "slot.64.state = x",
        "slot.x.state = x", "slot.0.colour = x", "online > 1", "online = maybe", "failures", "failures ~ 1",
        "failures = many", "failures = -1", "name < b", "tag.site < 3", 'name = "open', "name = 'a'", "name = a;",
        "name = a -- comment", "name = \x00", "a" * 2001, "(" * 40 + "all" + ")" * 40, "not " * 40 + "all",
        " or ".join(["online"] * 65), "online and", "name in (" + ",".join(["a"] * 300) + ")",
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(InvalidError, match="filter"):
        parse(text)


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["name", "=", "(", ")", "and", "not", "a", '"', "in", ",", "~"])).map(" ".join)
)
def test_any_text_is_a_filter_or_refused(text):
    with contextlib.suppress(InvalidError):
        compile_filter(parse(text))


tests = st.one_of(
    st.builds(
        lambda op, value: Test("name", op, (value,)),
        st.sampled_from(["=", "!=", "~"]),
        st.sampled_from(["pump-1", "PUMP-*", "*_1", "1?0%"]),
    ),
    st.builds(
        lambda op, value: Test("failures", op, (str(value),)),
        st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
        st.integers(0, 6),
    ),
    st.builds(
        lambda op, value: Test("tag.site", op, (value,)),
        st.sampled_from(["=", "!=", "~"]),
        st.sampled_from(["lab", "*"]),
    ),
    st.sampled_from([Test("online"), Test("tag.hold"), Test("online", "=", ("false",)), All()]),
)
trees = st.recursive(
    tests,
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=2, max_size=3).map(lambda terms: And(tuple(terms)))
        | st.lists(inner, min_size=2, max_size=3).map(lambda terms: Or(tuple(terms)))
    ),
    max_leaves=6,
)


def says(tree, device):  # noqa: PLR0911 - one end for each kind
    """What the language means, in Python."""
    name, tags, online, failures, _ = device
    match tree:
        case All():
            return True
        case And(terms):
            return all(says(term, device) for term in terms)
        case Or(terms):
            return any(says(term, device) for term in terms)
        case Not(term):
            return not says(term, device)
    if tree.op == "!=":
        return not says(Test(tree.field, "=", tree.values), device)
    key = tree.field.removeprefix("tag.")
    if tree.field.startswith("tag.") and (not tree.op or key not in tags):
        return key in tags and not tree.op
    value = {"name": name, "online": online, "failures": failures}.get(tree.field, tags.get(key))
    if tree.field == "online":
        return online == (not tree.values or tree.values[0] == "true")
    if tree.op == "~":
        return fnmatch.fnmatchcase(value.lower(), tree.values[0].lower())
    other = int(tree.values[0]) if tree.field == "failures" else tree.values[0]
    return {"=": value == other}[tree.op] if tree.op == "=" else eval(f"{value} {tree.op} {other}")  # noqa: S307


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(tree=trees)
def test_sql_and_meaning_agree(database, tree):
    assert match(database, tree) == {device[0] for device in DEVICES if says(tree, device)}
