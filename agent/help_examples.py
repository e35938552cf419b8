# SPDX-License-Identifier: Apache-2.0
"""Examples at the end of `--help`: a line or two for every command, those of other parts too.

Contract: `add_examples` gives a command, and all below it, its lines from EXAMPLES as the epilog. Each line is what a
shell would take after `cd` into a project; tests/loop/test_help.py parses it by the command itself, so that an option
that is renamed or dropped fails there, and misses the command that has none.
"""

from __future__ import annotations

from typing import Any

__all__ = ["EXAMPLES", "add_examples"]

EXAMPLES: dict[str, tuple[str, ...]] = {
    "doctor": ("wasel doctor", "wasel doctor --json"),
    "new": ("wasel new blink --lang zig", "wasel new blink --watch qemu"),
    "build": ("wasel build", "wasel build examples/counter"),
    "watch": ("wasel watch", "wasel watch blink --on qemu", "wasel watch --port /dev/ttyUSB0 --slot 1"),
    "run": (
        "wasel run build/blink.wasm -- first second",
        "wasel run --on qemu --env SITE=lab build/blink.wasm",
        "wasel run --on sim --grant dir=/data build/blink.wasm",
    ),
    "flash": (
        "wasel flash build/blink.wasm --device lab --start --arg first",
        "wasel flash build/blink.wasm --port /dev/ttyUSB0 --slot 1 --start --wait",
    ),
    "ps": ("wasel ps --device lab", "wasel ps --port /dev/ttyUSB0 --json"),
    "logs": (
        "wasel logs --device lab --slot 1 --follow",
        "wasel logs --device lab --broker mqtt://127.0.0.1:1883",
    ),
    "monitor": ("wasel monitor --port /dev/ttyUSB0", "wasel monitor --device lab --history --json"),
    "start": (
        "wasel start --device lab --wait --arg first",
        "wasel start --device lab --slot 1 --budget 20 --restart on-failure",
    ),
    "stop": ("wasel stop --device lab --slot 1",),
    "confirm": ("wasel confirm --device lab --slot 1",),
    "rollback": ("wasel rollback --device lab --slot 1",),
    "stats": ("wasel stats --device lab --slot 1 --json",),
    "agent": (
        "wasel agent --device lab",
        "wasel agent --device pump-7 --port /dev/ttyUSB0 --broker mqtt://127.0.0.1:1883 --sockets",
    ),
    "deploy": ("wasel deploy build/blink.wasm --device lab --arg first",),
    "keygen": ("wasel keygen -o release.key",),
    "sign": ("wasel sign app.wasm --key release.key --manifest manifest.toml -o app.signed.wasm",),
    "verify": ("wasel verify app.signed.wasm --key release.key.pub",),
    "inspect": ("wasel inspect build/blink.wasm",),
    "root init": (
        "wasel root init root.cbor --root-key alice.pub --root-key bob.pub --root-key carol.pub --threshold 2",
    ),
    "root add-key": ("wasel root add-key root.cbor --key release.key.pub --class qemu-virt",),
    "root revoke-key": ("wasel root revoke-key root.cbor --key release.key.pub",),
    "root sign": ("wasel root sign root.cbor --key alice",),
    "root verify": ("wasel root verify root.cbor",),
    "root install": ("wasel root install root.cbor --device lab",),
    "compile": ("wasel compile build/blink.wasm -o blink.aot.wasm --target aarch64",),
    "javascript": ("wasel javascript src/main.js -o build/blink.wasm",),
    "trace": ("wasel trace --device lab --until-exit", "wasel trace --device lab --call fd_write --failed"),
    "up": ("wasel up", "wasel up --device lab --kernel sel4"),
    "device up": ("wasel device up lab", "wasel device up lab --kernel sel4"),
    "device down": ("wasel device down lab", "wasel device down --all"),
    "device list": ("wasel device list",),
    "fleet serve": ("wasel fleet serve --data fleet --trust release.key.pub",),
    "fleet bootstrap": ("wasel fleet bootstrap alice --data fleet",),
    "fleet status": ("wasel fleet status",),
    "fleet deploy": ("wasel fleet deploy pump:1.3.0 --device pump-7 --slot 1 --env SITE=lab",),
    "fleet clear": ("wasel fleet clear --device pump-7 --slot 1",),
    "fleet events": ("wasel fleet events --device pump-7 --limit 20",),
    "fleet simulate": ("wasel fleet simulate --devices 1000 --for 60 --seed 7",),
    "fleet device list": ("wasel fleet device list --filter 'tag.site = lab'",),
    "fleet device show": ("wasel fleet device show pump-7",),
    "fleet device add": ("wasel fleet device add pump-7 --tag site=lab",),
    "fleet device tag": ("wasel fleet device tag pump-7 pump-8 --set site=lab --remove spare",),
    "fleet device note": ("wasel fleet device note pump-7 'second floor, behind the boiler'",),
    "fleet device accept": ("wasel fleet device accept pump-7",),
    "fleet device revoke": ("wasel fleet device revoke pump-7",),
    "fleet device remove": ("wasel fleet device remove pump-7",),
    "fleet device logs": ("wasel fleet device logs pump-7 --slot 1 --follow",),
    "fleet device ping": ("wasel fleet device ping pump-7",),
    "fleet device start": ("wasel fleet device start pump-7 --slot 1",),
    "fleet device stop": ("wasel fleet device stop pump-7 --slot 1",),
    "fleet claim create": ("wasel fleet claim create --uses 20 --days 7 --tag site=lab",),
    "fleet claim list": ("wasel fleet claim list",),
    "fleet claim revoke": ("wasel fleet claim revoke 3",),
    "fleet artifact upload": ("wasel fleet artifact upload pump.signed.wasm -p commit=4f2a9c1",),
    "fleet artifact list": ("wasel fleet artifact list --name pump",),
    "fleet artifact show": ("wasel fleet artifact show pump:1.3.0",),
    "fleet artifact download": ("wasel fleet artifact download pump:1.3.0 -o pump.signed.wasm",),
    "fleet artifact remove": ("wasel fleet artifact remove pump:1.3.0",),
    "fleet artifact export": (
        "wasel fleet artifact export pump:1.3.0 ./layout",
        "wasel fleet artifact export pump:1.3.0 registry.example/team/pump:1.3.0",
    ),
    "fleet artifact import": ("wasel fleet artifact import registry.example/team/pump:1.3.0",),
    "fleet trust show": ("wasel fleet trust show",),
    "fleet trust install": ("wasel fleet trust install root.cbor",),
    "fleet rollout create": (
        "wasel fleet rollout create pump:1.3.0 --filter 'tag.site = lab' --plan plan.json --start",
    ),
    "fleet rollout plan": ("wasel fleet rollout plan > plan.json",),
    "fleet rollout list": ("wasel fleet rollout list",),
    "fleet rollout show": ("wasel fleet rollout show 7",),
    "fleet rollout devices": ("wasel fleet rollout devices 7 --json",),
    "fleet rollout watch": ("wasel fleet rollout watch 7",),
    "fleet rollout start": ("wasel fleet rollout start 7",),
    "fleet rollout pause": ("wasel fleet rollout pause 7 --reason 'site visit'",),
    "fleet rollout resume": ("wasel fleet rollout resume 7",),
    "fleet rollout abort": ("wasel fleet rollout abort 7 --reason 'wrong wave'",),
    "fleet rollout rollback": ("wasel fleet rollout rollback 7 --reason 'leaks memory'",),
    "fleet rollout approve": ("wasel fleet rollout approve 7",),
    "fleet rollout reject": ("wasel fleet rollout reject 7 --reason 'not in the heating season'",),
    "fleet rollout remove": ("wasel fleet rollout remove 7",),
    "fleet rollout twin": ("wasel fleet rollout twin 12",),
    "fleet webhook list": ("wasel fleet webhook list",),
    "fleet webhook add": ("wasel fleet webhook add https://alerts.example/wasel",),
    "fleet webhook enable": ("wasel fleet webhook enable 2",),
    "fleet webhook remove": ("wasel fleet webhook remove 2",),
    "fleet audit list": ("wasel fleet audit list --actor alice --limit 20",),
    "fleet audit verify": ("wasel fleet audit verify",),
    "fleet audit head": ("wasel fleet audit head",),
    "fleet user list": ("wasel fleet user list",),
    "fleet user add": ("wasel fleet user add bob --role operator",),
    "fleet user change": ("wasel fleet user change bob --role viewer",),
    "fleet token list": ("wasel fleet token list",),
    "fleet token create": ("wasel fleet token create ci --role operator --days 90",),
    "fleet token revoke": ("wasel fleet token revoke 4",),
}


def add_examples(command: Any, path: str) -> None:
    """Give a command and all below it their examples."""
    lines = EXAMPLES.get(path)
    if lines and not command.epilog:
        title = "Example:" if len(lines) == 1 else "Examples:"
        command.epilog = "\n\n".join((title, *lines))
    for name, below in getattr(command, "commands", {}).items():
        add_examples(below, f"{path} {name}".strip())
