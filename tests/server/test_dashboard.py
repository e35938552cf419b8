# SPDX-License-Identifier: Apache-2.0
"""The pages in a browser: from the keyboard, on a phone, in the dark, without scripts, live."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import fleet.pages
from fleet.access import Role
from fleet.clock import now_ms
from fleet.models import Artifact, Device, DeviceSlot, DeviceTag, Event, Rollout, RolloutDevice
from tests.server.browser import PHONE, chromium, site, until, visit  # noqa: F401 - fixtures
from tests.server.routes import PASSWORD, calls

DEVICES = 60
DIGEST = "ab" * 32
CSS = Path(fleet.pages.__file__).parent / "static" / "css"


@pytest.fixture
def lively(site):  # noqa: F811
    """Sixty devices, a module, a rollout, long words."""
    now = now_ms()
    with site.fleet.database.write() as db:
        db.add(
            Artifact(
                digest=DIGEST,
                size=65536,
                file="pump.wasm",
                name="pump",
                version="1.2.3",
                sequence=7,
                signature="trusted",
                key="cd" * 32,
                manifest={"arena": 8 << 20, "policy": {"dirs": ["/data"], "limits": {"files": 8}}},
                provenance={"source": "https://git.example/" + "long/" * 40, "commit": "ef" * 20},
                uploaded_by="operator",
                created_ms=now,
            )
        )
        for number in range(DEVICES):
            device = Device(
                name=f"dev-{number:02}",
                status="enrolled",
                created_ms=now,
                online=number % 6 != 5,
                link=True,
                seen_ms=now,
                kernel="stand-in",
                errors={"0": "w" * 300} if number == 7 else {},
            )
            device.tags = [DeviceTag(key="site", value="lab" if number % 2 else "x" * 100)]
            device.slots = [
                DeviceSlot(slot=0, state="running", digest=DIGEST, size=1, memory=9, bookkeeping=9, changed_ms=now)
            ]
            device.desired = []
            db.add(device)
            db.flush()
            db.add(Event(at_ms=now, kind="device.online", device_id=device.id, text="is online"))
        rollout = Rollout(
            name="pump " * 20,
            phase="running",
            digest=DIGEST,
            slot=0,
            filter="all",
            created_by="operator",
            created_ms=now,
        )
        db.add(rollout)
        db.flush()
        for number in range(1, DEVICES + 1):
            state = ("succeeded", "updating", "failed", "waiting")[number % 4]
            db.add(RolloutDevice(rollout_id=rollout.id, device_id=number, state=state, error="no" * 200))
    return site


def pages_of(app):
    for call in calls(app):
        if call.method == "GET" and not call.path.startswith(("/api", "/metrics", "/healthz", "/setup", "/login")):
            yield call.path.replace("{name}", "dev-07").replace("{digest}", DIGEST).replace("{number}", "1")


def test_everything_is_reached_from_the_keyboard(lively, visit):  # noqa: F811
    page = visit()
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("/")
    page.keyboard.type("tag.site = lab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=*")
    until(page, "document.querySelectorAll('#map .cell').length === 30")
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#map-said").inner_text() == "dev-03, ok"
    assert page.locator("tr.lit").get_attribute("data-device") == "dev-03"
    page.keyboard.press("Enter")
    page.wait_for_url("**/devices/dev-03")
    for keys, place in (("gr", "/rollouts"), ("ga", "/artifacts"), ("gl", "/audit"), ("gf", "/")):
        page.keyboard.press(keys[0])
        page.keyboard.press(keys[1])
        page.wait_for_url(lambda url, place=place: url.endswith(place))
        page.wait_for_load_state("load")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    until(page, "document.querySelectorAll('main tbody tr:has(a)').length >= 2")
    page.keyboard.press("j")
    until(page, "document.activeElement.textContent === 'dev-00'")
    page.keyboard.press("j")
    until(page, "document.activeElement.textContent === 'dev-01'")


def test_nothing_is_wider_than_a_phone(lively, visit):  # noqa: F811
    page = visit(Role.ADMIN, size=PHONE)
    for address in pages_of(lively.app):
        page.goto(address)
        if page.locator("#map").count():
            until(page, "document.querySelector('#map .cell') !== null")
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE["width"], (address, wide)
        small = page.evaluate(
            "[...document.querySelectorAll('nav.places a')].filter(a => a.getBoundingClientRect().height < 44).length"
        )
        assert small == 0, address


def test_every_control_has_a_name_and_every_id_is_there_once(lively, visit):  # noqa: F811
    page = visit(Role.ADMIN)
    for address in pages_of(lively.app):
        page.goto(address)
        nameless = page.evaluate(
            "[...document.querySelectorAll('input:not([type=hidden]),select,textarea,button,a[href],svg[role=img]')]"
            ".filter(e => !e.getAttribute('aria-label') && !e.textContent.trim() && !e.labels?.length && !e.title)"
            ".map(e => e.outerHTML)"
        )
        assert nameless == [], address
        twice = page.evaluate(
            "[...document.querySelectorAll('[id]')].map(e => e.id).filter((x, i, all) => all.indexOf(x) !== i)"
        )
        assert twice == [], address
        assert page.locator("h1").count() == 1, address


def test_no_page_has_errors_or_breaks_the_policy(lively, visit):  # noqa: F811
    page = visit(Role.ADMIN)
    for address in pages_of(lively.app):
        page.goto(address)
        page.wait_for_timeout(50)
    assert page.problems == []


def test_colours_are_switched_and_kept(lively, visit):  # noqa: F811
    page = visit(scheme="light")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_role("button", name="Colours").click()
    page.get_by_role("button", name="Colours").click()
    dark = page.evaluate(paper)
    assert light != dark
    page.reload()
    assert page.evaluate(paper) == dark


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_stands_out(scheme):
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, in both halves of the palette; 3 to 1 for what only has a colour (1.4.11)."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (CSS / "tokens.css").read_text())
    tokens = {name: halves[scheme] for name, *halves in found}
    for text in ("ink", "ink-2", "ink-3", "accent"):
        for ground in ("paper", "card", "raised"):
            assert contrast(tokens[text], tokens[ground]) >= 4.5, (text, ground)
    for state in ("ok", "busy", "warn", "bad"):
        assert contrast(tokens[f"{state}-text"], tokens[f"{state}-soft"]) >= 4.5, state
    assert contrast(tokens["accent-ink"], tokens["accent"]) >= 4.5
    for state in ("ok", "busy", "bad", "focus"):
        assert contrast(tokens[state], tokens["card"]) >= 3, state


def test_forms_work_without_scripts(site, chromium):  # noqa: F811
    context = chromium.new_context(base_url=site.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/users")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/users")
    page.get_by_label("Name", exact=True).fill("newcomer")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("newcomer").first.wait_for()
    context.close()


def test_a_page_shows_by_itself_what_changes(lively, visit):  # noqa: F811
    page = visit()
    page.goto("/")
    page.wait_for_selector(".live[data-state=open]")
    until(page, f"document.querySelectorAll('#map .cell.ok').length === {DEVICES - 11}")
    with lively.fleet.database.write() as db:
        db.query(Device).filter_by(name="dev-00").one().online = False
    lively.fleet.bus.post("fleet", "states", {})
    until(page, f"document.querySelectorAll('#map .cell.ok').length === {DEVICES - 12}")
    until(page, "document.querySelector('tr[data-device=dev-00] .badge').textContent === 'offline'")
