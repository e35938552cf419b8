# SPDX-License-Identifier: Apache-2.0
"""The reference is whole: what the code has is on the page that is made from it, and what devices have is in the code.

Each test compares a page with a second witness (the source of who uses it, a device's own table, a running server), so
that a new command, key, topic, metric, route or exit code that is not on its page fails here.
"""

import ast
import re
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from agent import errors, messages
from agent.cli import app
from agent.link import modules
from agent.link.modules import COUNTERS, Command, ModuleError
from agent.manifest import LIMITS, Health, Manifest, ManifestError, Policy
from agent.topics import LEAVES, Topics
from fleet.app import create_app
from fleet.auth.guard import routes
from fleet.metrics import registry_of
from fleet.settings import Settings
from scripts.reference import PAGES
from scripts.reference.exit_codes import error_classes
from scripts.reference.mqtt import keys
from scripts.reference.smp import requests
from scripts.reference.text import cell
from sel4_bridge import generate
from sel4_bridge.wasi_table import CALLS, ERRNOS, GRANTS

ROOT = Path(__file__).resolve().parents[2]
SUPERVISOR = ROOT / "sel4_bridge" / "supervisor"
PARTS = ("agent", "edge_engine", "fleet", "qemu", "sel4_bridge")


def page(name):
    return PAGES[name]()


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def section(text, head):
    """Give what stands below a heading, up to the next one of its rank."""
    rank = head.partition(" ")[0]
    return text[text.index(f"\n{head}\n") :].split(f"\n{rank} ", 2)[1]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_markdown_with_a_title_and_no_raw_html(name):
    text = page(name)
    assert text.startswith("# ")
    assert not re.search(r"<(?!https?:)[a-z]", re.sub(r"`[^`]*`", "", text))


def test_no_page_is_checked_in():
    for name in PAGES:
        assert not (ROOT / "docs" / name).exists(), f"docs/{name}: it is made when the site is built"


# Commands


def test_every_command_and_option_is_on_the_page():
    text = page("cli.md")
    own = {"help", "install_completion", "show_completion"}

    def walk(command, path):
        context = typer.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            where = section(text, f"## `{path} {name}`")
            for option in below.params:
                if not getattr(option, "hidden", False) and option.name not in own:
                    told = option.opts if option.param_type_name == "option" else [cell(option.help)]
                    assert any(one in where for one in told), f"{path} {name}: {told}"
            if hasattr(below, "list_commands"):
                walk(below, f"{path} {name}")

    walk(get_command(app), "wasel")
    assert "For example:" in section(text, "## `wasel run`")


# Exit codes


def test_every_exit_code_is_on_the_page():
    text = page("exit-codes.md")
    declared = {value for name, value in vars(errors).items() if name.startswith("EXIT_") and isinstance(value, int)}
    assert declared == set(errors.EXIT_CODES)
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)} == declared


def test_every_error_of_the_tree_is_on_the_page_with_its_code():
    text = page("exit-codes.md")
    known = set(error_classes())
    for path in sources(*PARTS):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base).endswith("Error") for base in node.bases):
                cls = getattr(import_module(module), node.name)
                assert cls in known or not issubclass(cls, errors.WaselError), f"{module}: {node.name}"
    for cls in known:
        assert f"| {cls.exit_code} | `{cls.__name__}` | `{cls.__module__}` |" in text


def test_nothing_exits_with_a_number_that_has_no_name():
    for path in sources("agent", "fleet"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) in {"sys.exit", "typer.Exit", "exit"}
                and node.args
            ):
                value = node.args[0]
                number = value.value if isinstance(value, ast.Constant) else None
                assert not isinstance(number, int) or number in errors.EXIT_CODES, f"{path}:{node.lineno}"


# The manifest


def names(cls):
    return [item.name for item in fields(cls)]


def test_every_key_of_the_manifest_is_on_the_page():
    text = page("reference/manifest.md")
    head, policy, health = text.split("\n## ")
    for cls, part in ((Manifest, head), (Health, health)):
        for name in names(cls):
            assert f"| `{name}` |" in part, name
    for name in names(Policy):
        assert f"| `{'limits.' if name in Policy.NUMBERS else ''}{name}` |" in policy, name


def manifest(**more):
    return {"name": "app", "version": "1.0.0", "sequence": 1} | more


@pytest.mark.parametrize("name", Manifest.NUMBERS)
def test_the_bounds_on_the_page_are_those_of_the_parser(name):
    least, most = Manifest.NUMBERS[name]
    beside = {"budget_us": {"period_us": 1_000_000}, "period_us": {"budget_us": 1}}.get(name, {})
    for value in (least, most):
        Manifest(**(manifest(**beside) | {name: value}))
    for value in (least - 1, most + 1):
        with pytest.raises(ManifestError, match=name):
            Manifest(**(manifest(**beside) | {name: value}))


@pytest.mark.parametrize("name", Health.NUMBERS)
def test_the_bounds_of_the_probe_are_those_of_the_parser(name):
    beside = {"line": "ok"} if name == "timeout_s" else {}
    least, most = Health.NUMBERS[name]
    for value in (least, most):
        assert getattr(Health.parse({name: value} | beside), name) == value
    for value in (least - 1, most + 1):
        with pytest.raises(ManifestError, match=name):
            Health.parse({name: value} | beside)


@pytest.mark.parametrize("name", Manifest.TEXTS)
def test_the_length_of_a_text_is_that_of_the_parser(name):
    most = Manifest.TEXTS[name][0]
    fill = "1.0." if name == "version" else "a"
    Manifest(**(manifest() | {name: fill + "1" * (most - len(fill))}))
    with pytest.raises(ManifestError, match=name):
        Manifest(**(manifest() | {name: fill + "1" * (most - len(fill) + 1)}))


def test_a_device_knows_the_keys_of_the_page():
    """sel4_bridge/supervisor/manifest.c has them as strings."""
    source = (SUPERVISOR / "manifest.c").read_text(encoding="utf-8")
    for name in (*names(Manifest), *names(Health), "v", "size"):
        assert f'"{name}"' in source, name


def test_the_words_of_the_policy_are_those_of_the_wasi_page():
    words = {word.partition("=")[0] for word, _ in GRANTS}
    assert words == {word for _, word in Policy.LISTS} | set(Policy.FLAGS) | set(Policy.NUMBERS)
    assert LIMITS["TEXT"] > Policy.MOST_TEXT


# WASI calls: tests/wasi/test_table.py compares the page


def test_every_call_and_every_error_number_is_on_the_page():
    text = generate.reference_page()
    assert all(f"`{call.name}`" in text for call in CALLS)
    for number, name in enumerate(ERRNOS):
        assert f"{number} {name.upper()}" in text, name


# SMP group 64


def device_commands():
    """Read the device's own table: command to what it answers."""
    source = (SUPERVISOR / "modules.c").read_text(encoding="utf-8")
    rows = source[source.index("sb_smp_command commands[]") :].partition("};")[0]
    return {
        (int(number), operation)
        for number, read, write in re.findall(r"\{(\d+), (\w+), (\w+)\}", rows)
        for operation, handler in (("read", read), ("write", write))
        if handler != "NULL"
    }


def test_the_commands_are_those_of_the_device():
    documented = {
        (int(number), operation)
        for number, operation in re.findall(
            r"^## (\d+) \w+, (read|write)$", page("reference/group-64.md"), re.MULTILINE
        )
    }
    assert documented == device_commands()
    assert {number for number, _ in documented} == set(Command)
    assert len(requests()) == len(documented)


def test_every_key_that_the_device_answers_with_is_on_the_page():
    text = page("reference/group-64.md")
    for name in ("modules.c", "mail.c"):
        source = (SUPERVISOR / name).read_text(encoding="utf-8")
        written = re.findall(r'sb_cbor_(?:put_\w+|write_text)\(\w+, "(\w+)"', source)
        assert written
        for key in written:
            assert f"| `{key}` |" in text, f"{name}: {key}"


def test_every_key_that_the_device_reads_is_on_the_page():
    text = page("reference/group-64.md")
    source = (SUPERVISOR / "modules.c").read_text(encoding="utf-8")
    read = re.findall(r'\{"(\w+)", SB_CBOR_\w+,', source)
    assert {"slot", "args", "fuel", "cursor"} <= set(read)
    for key in read:
        assert f"| `{key}` |" in text, key


def test_the_counters_are_those_of_the_device():
    source = (SUPERVISOR / "modules.c").read_text(encoding="utf-8")
    table = source[source.index("} counters[] = {") :].partition("};")[0]
    assert re.findall(r'\{"(\w+)",', table) != []
    assert set(re.findall(r'\{"(\w+)",', table)) == set(COUNTERS)
    text = section(page("reference/group-64.md"), "## Counters")
    assert all(f"| `{name}` |" in text for name in COUNTERS)


def test_the_errors_and_refusals_are_those_of_the_device():
    text = page("reference/group-64.md")
    source = (SUPERVISOR / "modules.c").read_text(encoding="utf-8")
    numbers = {int(number) for number in re.findall(r"^ +MODULES_\w+ = (\d+),", source, re.MULTILINE)}
    assert numbers == {int(error) for error in ModuleError} - {0}
    assert {int(one) for one in re.findall(r"^\| (\d+) \|", section(text, "## Errors"), re.MULTILINE)} == numbers
    declared = re.findall(
        r"^SB_REFUSAL\((\d+),", (SUPERVISOR / "refusals.def").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert re.findall(r"^\| (\d+) \|", section(text, "## Refusals"), re.MULTILINE) == declared


def test_the_maps_within_answers_are_described_below():
    text = page("reference/group-64.md")
    for target in re.findall(r"\[below\]\(#(\w+)\)", text):
        assert re.search(rf"^## {target}$", text, re.MULTILINE | re.IGNORECASE), target
    assert "slots" in modules.StatusAnswer.model_fields


# MQTT


def test_every_topic_is_on_the_page():
    text = page("reference/topics.md")
    topics = Topics("dev")
    names = {name for name, item in vars(Topics).items() if isinstance(item, property)}
    assert {name.partition("/")[0] for name in LEAVES} == names
    for name in LEAVES:
        assert f"`{name}`" in text
        assert getattr(topics, name.partition("/")[0]).startswith("wasel/1/default/dev/")


def test_every_message_is_of_a_topic():
    classes = {
        name
        for name, item in vars(messages).items()
        if isinstance(item, type) and item.__module__ == messages.__name__ and hasattr(item, "parse")
    }
    assert classes == {leaf.message for leaf in LEAVES.values()} - {""}


@pytest.mark.parametrize("name", [name for name, leaf in LEAVES.items() if leaf.message])
def test_every_key_of_a_message_is_on_the_page(name):
    """The second witness is the example of the protocol's page, which tests/agents/test_messages.py takes apart."""
    text = section(page("reference/topics.md"), f"## {name}")
    protocol = (ROOT / "docs" / "MQTT.md").read_text(encoding="utf-8")
    example = protocol[protocol.index(f"\n### {name}\n") :].split("```")[1]
    told = set(re.findall(r"# (\w+): ", example)) - {"v"}
    assert told
    assert told <= {key.name for key in keys(getattr(messages, LEAVES[name].message))}
    for key in told:
        assert f"| `{key}` |" in text


def test_who_publishes_does_so_as_the_page_says():
    found = set()
    for path in sources("agent", "fleet"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            target, given = ast.unparse(node.args[0]), {one.arg: one.value for one in node.keywords}
            if ast.unparse(node.func).endswith("broker.publish") and "_topics." in target:
                name = target.rpartition(".")[2]
            elif ast.unparse(node.func) == "Out":
                name = str(ast.literal_eval(node.args[0]))
            else:
                continue
            qos, retained = (ast.literal_eval(given[key]) if key in given else 0 for key in ("qos", "retain"))
            assert (qos, bool(retained)) == (LEAVES[name].qos, LEAVES[name].retained), f"{path}:{node.lineno}: {name}"
            found.add(name)
    assert {"desired", "state", "get", "chunk", "log", "met", "ack"} <= found


# The fleet server


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("WASEL_STATE", str(tmp_path / "state"))
    return create_app(Settings(data=tmp_path / "fleet", engine=False, broker_url="mqtt://127.0.0.1:1"))


def test_every_route_of_the_server_is_on_the_page_with_its_role(server):
    text = page("reference/http-api.md")
    seen = 0
    for _, path, methods, says in routes(server):
        if not path.startswith("/api/") and path not in {"/metrics", "/healthz"}:
            continue
        if path == "/api/v1/openapi.json":
            assert path in text
            continue
        for method in methods - {"HEAD"}:
            where = section(text, f"### `{method} {path.replace(':path}', '}')}`")
            assert f"Role: **{says.role.text if says.role is not None else 'everybody'}**" in where
            for name in re.findall(r"\{(\w+)", path):
                assert f"| `{name}` | path |" in where
            seen += 1
    assert seen == text.count("\n### ")


def test_every_metric_of_a_server_is_on_the_page(server):
    text = page("reference/metrics.md")
    fleet = server.state.fleet
    with fleet.database.read() as session:
        assert session is not None
    names = {family.name for family in registry_of(fleet).collect()}
    assert {"wasel_devices", "wasel_leader"} <= names
    for name in names:
        assert re.search(rf"\| `{name}(_total)?` \|", text), name


# What was measured


def test_the_measured_page_has_the_last_run():
    text = page("reference/measured.md")
    assert "| `wasel` |" in text
    assert "genuine seL4" in text
