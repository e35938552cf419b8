# SPDX-License-Identifier: Apache-2.0
"""The command `wasel`: built-in commands, plug-ins, and how errors end it.

Commands of other parts (`device` lives beside the QEMU launcher) come from the entry-point group `wasel.commands` and
are loaded when they are called. Every `WaselError` becomes one line on stderr and its exit code (agent.errors).
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from agent.advice import with_advice
from agent.commands import daemon, deploy, doctor, logs, modules, monitor, project, root, run, signing, watch
from agent.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_OK, WaselError
from agent.help_examples import add_examples

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["app", "main"]


class _Group(TyperGroup):
    """Built-in commands first, then those of other parts."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            add_examples(command, cmd_name)
            return command
        for entry in entry_points(group="wasel.commands", name=cmd_name):
            try:
                loaded = entry.load()
            except ImportError as error:
                raise WaselError(f"{cmd_name}: its part is not installed ({error})") from error
            command = get_command(loaded) if isinstance(loaded, typer.Typer) else loaded
            command.name = cmd_name
            add_examples(command, cmd_name)
            return command
        return None

    def list_commands(self, ctx: Any) -> list[str]:
        plugins = (entry.name for entry in entry_points(group="wasel.commands"))
        return [*super().list_commands(ctx), *plugins]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"wasel {version('wasel')}")
        raise typer.Exit


app = typer.Typer(
    name="wasel",
    cls=_Group,
    help="Signed WebAssembly modules on seL4 devices.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Signed WebAssembly modules on seL4 devices."""


app.command()(doctor.doctor)
app.command()(project.new)
app.command()(project.build)
app.command()(watch.watch)
app.command()(run.run)
app.command()(modules.flash)
app.command()(modules.ps)
app.command()(logs.logs)
app.command()(monitor.monitor)
app.command()(modules.start)
app.command()(modules.stop)
app.command()(modules.confirm)
app.command()(modules.rollback)
app.command()(modules.stats)
app.command()(daemon.agent)
app.command()(deploy.deploy)
app.command()(signing.keygen)
app.command()(signing.sign)
app.command()(signing.verify)
app.command()(signing.inspect)
app.add_typer(root.root, name="root")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    try:
        result = app(args=arguments, standalone_mode=True)
    except WaselError as error:
        print(f"wasel: {with_advice(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the interpreter flushes once more at exit
        sys.exit(EXIT_FAILURE)
    sys.exit(result if isinstance(result, int) else EXIT_OK)
