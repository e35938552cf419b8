# SPDX-License-Identifier: Apache-2.0
"""`--help` of every command: it says its purpose, and what each argument and option is."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from agent.cli import app
from agent.help_examples import EXAMPLES

OWN = {"help", "install_completion", "show_completion"}


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give the whole tree."""
    yield path, command
    context = typer.Context(command)
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        yield from commands(command.get_command(context, name), (*path, name))


TREE = list(commands(get_command(app)))


def test_the_tree_is_whole() -> None:
    paths = {" ".join(path) for path, _ in TREE}
    assert {
        "",
        "run",
        "device up",
        "root sign",
        "trace",
        "compile",
        "javascript",
        "up",
        "fleet rollout create",
    } <= paths
    assert len(paths) == len(TREE) > 60


@pytest.mark.parametrize(("path", "command"), TREE, ids=[" ".join(path) or "wasel" for path, _ in TREE])
def test_help_says_what_a_command_does(path: tuple[str, ...], command: Any) -> None:
    help_text = " ".join((command.help or "").split())
    assert len(help_text) > 7, "no purpose"
    assert help_text[0].isupper() or help_text[0] == "`", help_text
    for parameter in command.params:
        if parameter.name in OWN or getattr(parameter, "hidden", False):
            continue
        assert getattr(parameter, "help", None), f"{parameter.name}: no help"
    done = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"})
    assert done.exit_code == 0, done.output
    assert "Usage: " in done.output
    assert help_text.split()[0].strip("`") in done.output


LEAVES = {" ".join(path): command for path, command in TREE if not hasattr(command, "list_commands")}


def test_every_command_has_an_example_and_no_other() -> None:
    assert set(EXAMPLES) == set(LEAVES)


@pytest.mark.parametrize("path", LEAVES)
def test_help_shows_examples_that_the_command_takes(path: str) -> None:
    shown = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "200", "TERMINAL_WIDTH": "200"}).output
    assert EXAMPLES[path], "no example"
    for line in EXAMPLES[path]:
        assert line in shown
        words = shlex.split(line.partition(" > ")[0])
        begin = ["wasel", *path.split()]
        assert words[: len(begin)] == begin, f"{line}: an example of another command"
        LEAVES[path].make_context(path, words[len(begin) :])  # parses, and runs nothing; a wrong option is an error


def test_an_example_with_an_option_that_there_is_not_would_be_noticed() -> None:
    with pytest.raises(Exception, match="--colour"):
        LEAVES["ps"].make_context("ps", ["--device", "lab", "--colour"])
