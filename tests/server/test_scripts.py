# SPDX-License-Identifier: Apache-2.0
"""A hundred script payloads in every text that devices, modules and people give: none runs, none becomes an element."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote

import pytest

import fleet.pages
from fleet import audit
from fleet.access import Principal, Role
from fleet.clock import now_ms
from fleet.models import (
    Artifact,
    Claim,
    DesiredSlot,
    Device,
    DeviceSlot,
    DeviceTag,
    Event,
    LogRecord,
    Rollout,
    RolloutDevice,
    Token,
    User,
)
from tests.server.browser import chromium, site, until, visit  # noqa: F401 - fixtures
from tests.server.payloads import PAYLOADS
from tests.server.routes import calls

TRAP = """
window.hits = [];
window.breaches = [];
for (const name of ["hit", "alert", "confirm", "prompt"]) window[name] = (n) => { window.hits.push(`${name} ${n}`); };
document.addEventListener("securitypolicyviolation", (event) => {
  window.breaches.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
});
"""
ELEMENTS = "script:not([src]), img, iframe, object, embed, video, audio, math, marquee, base, style, xss, [onload], [onerror], [onfocus], [onclick], [onmouseover], [style*=animation]"  # noqa: E501
"""What no page of ours has."""
SLOTS = 50
NEST = {"list": list(PAYLOADS), "inner": {text: text for text in PAYLOADS}}


QUERIES = {
    "/": ("q", "state", "after"),
    "/audit": ("actor", "action", "target"),
    "/artifacts": ("name",),
    "/login": ("next",),
    "/setup": ("token",),
}


def digest(number):
    return f"{number:064x}"


@pytest.fixture
def poisoned(site):  # noqa: F811
    """A payload in every text column; devices 0 and 1 have fifty slots each."""
    now = now_ms()
    with site.fleet.database.write() as db:
        for number, text in enumerate(PAYLOADS):
            db.add(
                Artifact(
                    digest=digest(number),
                    size=1,
                    file=text,
                    name=text[:64],
                    version=text[:32],
                    signature="unsigned",
                    key=text[:64],
                    manifest={"policy": NEST, "health": {text: text}, text: NEST} if number < 2 else {},
                    view={"imports": [{"name": text}], text: text, "nest": NEST} if number < 2 else {},
                    provenance=dict.fromkeys(("source", "commit", "branch", "builder", "build", "created"), text),
                    uploaded_by=text[:64],
                    created_ms=now,
                )
            )
            db.add(User(name=text[:64], role="viewer", created_ms=now))
            db.add(
                Claim(
                    token_hash=digest(number),
                    note=text,
                    tags={"k": text},
                    expires_ms=now + 10**8,
                    created_by=text[:64],
                    created_ms=now,
                )
            )
            audit.append(db, Principal(text[:64], Role.VIEWER), text[:64], text, {text: text, "list": [text]})
        db.flush()
        admin = db.query(User).filter_by(name="admin").one()
        for number, text in enumerate(PAYLOADS):
            db.add(Token(user_id=admin.id, name=text[:64], token_hash=digest(number), role="viewer", created_ms=now))
            device = Device(
                name=f"dev-{number}" if number < 2 else text[:64],
                serial=f"{number} {text}"[:128],
                status="pending" if number % 7 == 6 else "enrolled",
                key=text[:64],
                device_class=text[:32],
                note=text,
                created_ms=now,
                online=True,
                link=True,
                kernel=text[:64],
                version=text[:64],
                image=text[:64],
                errors={str(slot): PAYLOADS[slot + SLOTS * number] for slot in range(SLOTS)}
                if number < 2
                else {"0": text},
                progress={"0": {"phase": text, "offset": 1, "size": 2}},
            )
            device.tags = [DeviceTag(key=text[:64], value=text)]
            device.desired = [DesiredSlot(slot=0, digest=digest(number), size=1, name=text)]
            device.slots = [
                poisoned_slot(slot, PAYLOADS[(slot + SLOTS * number) % 100], now)
                for slot in (range(SLOTS) if number < 2 else (0,))
            ]
            db.add(device)
        db.flush()
        first = db.query(Device).filter_by(name="dev-0").one()
        for number, text in enumerate(PAYLOADS):
            rollout = Rollout(
                name=text[:128],
                phase="running" if number % 2 else "aborted",
                reason=text,
                digest=digest(number),
                slot=0,
                filter=text,
                created_by=text[:64],
                approved_by=text[:64],
                created_ms=now,
                args=[text],
                env=[f"K={text}"],
            )
            db.add(rollout)
            db.flush()
            db.add(RolloutDevice(rollout_id=rollout.id, device_id=first.id, state="failed", error=text))
            for severity in ("info", text[:8]):
                db.add(
                    Event(
                        at_ms=now,
                        kind=text[:64],
                        severity=severity,
                        device_id=first.id,
                        rollout_id=rollout.id,
                        text=text,
                    )
                )
            for stream in (0, 1, 2, 3):
                db.add(
                    LogRecord(
                        device_id=first.id,
                        at_ms=now,
                        slot=0,
                        stream=stream,
                        seq=number,
                        data=text.encode(),
                        line=True,
                    )
                )
    return site


def poisoned_slot(slot, text, now):
    return DeviceSlot(
        slot=slot,
        state="trapped",
        digest=digest(slot),
        size=1,
        trap=text,
        error=text,
        memory=1,
        bookkeeping=1,
        changed_ms=now,
        detail={
            "name": text,
            "version": text,
            "backtrace": text,
            "reason": text,
            "tier": text,
            "confirmed": True,
            "signed": False,
            "key": text,
        },
    )


def addresses(app):
    """Every page of the route table, those with a part in the path for poisoned things."""
    values = {"digest": [digest(0), digest(1), digest(7)], "number": ["1", "2"], "name": ["dev-0", "dev-1"]}
    for call in calls(app):
        if call.method != "GET" or call.path.startswith(("/api", "/metrics", "/healthz")):
            continue
        names = re.findall(r"\{(\w+)\}", call.path)
        for value in values[names[0]] if names else [""]:
            yield re.sub(r"\{\w+\}", value, call.path)
    for text in (PAYLOADS[0], PAYLOADS[5], PAYLOADS[50]):
        for path, names in QUERIES.items():
            for name in names:
                yield f"{path}?{name}={quote(text, safe='')}"
        yield f"/{quote(text, safe='')}"
        yield f"/devices/{quote(text, safe='')}"


def test_no_payload_runs_or_becomes_an_element(poisoned, visit):  # noqa: F811
    page = visit(Role.ADMIN, script=TRAP)
    seen = set()
    for address in dict.fromkeys(addresses(poisoned.app)):
        page.goto(address)
        page.wait_for_load_state("load")
        if page.locator("#map").count():
            until(page, "document.querySelector('#map .cell, .notice.bad, .empty') !== null")
            page.locator("#map").focus()
            page.keyboard.press("ArrowRight")
            page.keyboard.press("ArrowDown")
        found = page.evaluate(
            "elements => ({hits: window.hits, breaches: window.breaches, text: document.body.innerText,"
            " made: [...document.querySelectorAll(elements)].map(e => e.outerHTML),"
            " links: [...document.querySelectorAll('[href], [src], [action], [formaction]')]"
            ".flatMap(e => ['href', 'src', 'action', 'formaction'].map(a => e.getAttribute(a)).filter(Boolean))"
            ".map(a => new URL(a, location).href).filter(a => !a.startsWith(location.origin + '/'))})",
            ELEMENTS,
        )
        assert found["hits"] == [], address
        assert found["breaches"] == [], address
        assert found["made"] == [], address
        assert found["links"] == [], address
        seen |= {number for number in range(len(PAYLOADS)) if f"hit({number})" in found["text"]}
    shown = {number for number, text in enumerate(PAYLOADS) if f"hit({number})" in text}
    assert shown - seen == set(), "a test that shows nothing can't fail"


def test_no_payload_runs_when_it_comes_live(site, visit):  # noqa: F811
    """Lines and names that come while the page is open: through the stream and through what is loaded again."""
    with site.fleet.database.write() as db:
        db.add(Device(name="dev-0", status="enrolled", created_ms=1, online=True, link=True))
    page = visit(Role.VIEWER, script=TRAP)
    page.goto("/devices/dev-0")
    page.wait_for_selector(".live[data-state=open]")
    for number, text in enumerate(PAYLOADS):
        record = {"at_ms": 1000 + number, "slot": 0, "stream": number % 4, "text": text, "line": True}
        site.fleet.bus.post("log:dev-0", "log", {"device": "dev-0", "records": [record]})
    until(page, f"document.querySelectorAll('#log > div').length >= {len(PAYLOADS)}")
    with site.fleet.database.write() as db:
        device = db.query(Device).filter_by(name="dev-0").one()
        device.errors = {"0": "".join(PAYLOADS)}
        device.note = "".join(PAYLOADS)
        for slot in range(SLOTS):
            row = poisoned_slot(slot, PAYLOADS[slot], 1)
            row.device_id = device.id
            db.add(row)
    site.fleet.bus.post("device:dev-0", "state", {"note": PAYLOADS[0]})
    until(page, "document.querySelectorAll('[id^=slot-]').length >= 50")
    found = page.evaluate(
        "elements => [window.hits, window.breaches, document.querySelectorAll(elements).length]", ELEMENTS
    )
    assert found == [[], [], 0]


def test_templates_never_switch_escaping_off():
    folder = Path(fleet.pages.__file__).parent
    for path in (folder / "templates").glob("*.html"):
        text = path.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|Markup", text), path
    for path in folder.rglob("*.py"):
        assert "Markup" not in path.read_text(), path
    for path in (folder / "static" / "js").glob("*.js"):
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", text), path
        assert ("createHTML" in text) == (path.name == "live.js")
