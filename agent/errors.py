# SPDX-License-Identifier: Apache-2.0
"""Errors of the agent and the exit code that each becomes.

The tree (exit code in brackets; EXIT_CODES says what each means, and the page for users is made from it)::

    WaselError [1]
    ├── UsageError [2]            the caller asked for something that cannot be
    ├── RefusedError [3]          the module is malformed, invalid, unlinkable or too big
    ├── LinkError [4]             the way to the device
    │   ├── PortError             the port cannot be opened
    │   ├── LinkLostError         the port died under a request
    │   ├── NoAnswerError         the device is silent
    │   ├── BadAnswerError        the device answered something that the protocol does not allow
    │   └── DeviceError           the device answered with an error code
    │       └── DeniedError [3]   it does not trust, or does not allow, what it was given
    ├── BrokerError [5]           the MQTT broker is unreachable or closed the connection
    │   └── LoginRefusedError     it does not take user and password
    ├── MessageError [1]          a peer's MQTT message or control file is malformed (the peer's fault)
    ├── BudgetError [124]         stopped by fuel or timeout
    └── TrapError [134]           the module trapped

A message says what happened, where, and what to do about it, in one line.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "EXIT_BROKER",
    "EXIT_BUDGET",
    "EXIT_CODES",
    "EXIT_FAILURE",
    "EXIT_INTERRUPTED",
    "EXIT_LINK",
    "EXIT_OK",
    "EXIT_REFUSED",
    "EXIT_TRAP",
    "EXIT_USAGE",
    "BadAnswerError",
    "BrokerError",
    "BudgetError",
    "DeniedError",
    "DeviceError",
    "LinkError",
    "LinkLostError",
    "LoginRefusedError",
    "MessageError",
    "NoAnswerError",
    "PortError",
    "RefusedError",
    "TrapError",
    "UsageError",
    "WaselError",
]

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_LINK = 4
EXIT_BROKER = 5
EXIT_BUDGET = 124
EXIT_INTERRUPTED = 130
EXIT_TRAP = 134

EXIT_CODES: dict[int, tuple[str, str]] = {
    EXIT_OK: ("done", "a listing was printed; `deploy`: the module runs, or ended with exit code 0"),
    EXIT_FAILURE: ("failed", "`deploy`: the module ended with another exit code; a damaged state file"),
    EXIT_USAGE: (
        "wrong usage",
        "unknown command, option or runner; a file that cannot be read; a name that is not allowed",
    ),
    EXIT_REFUSED: (
        "module refused",
        "malformed, invalid, unknown import, too big; not signed, not trusted, changed, older than the confirmed one",
    ),
    EXIT_LINK: (
        "link",
        "the port cannot be opened, is busy or died; the device is silent or answers with an error; no agent reports",
    ),
    EXIT_BROKER: ("broker", "the MQTT broker is unreachable, refuses the connection or closed it"),
    EXIT_BUDGET: ("budget", "stopped by `--fuel` or `--timeout`"),
    EXIT_INTERRUPTED: ("interrupted", "Ctrl-C"),
    EXIT_TRAP: ("trap", "the module trapped; trap name and backtrace are on stderr"),
}
"""What a command ends with: in a word, and what leads to it."""


class WaselError(Exception):
    """Anything that a command reports in one line."""

    exit_code: ClassVar[int] = EXIT_FAILURE


class UsageError(WaselError):
    """The caller asked for something that cannot be."""

    exit_code = EXIT_USAGE


class RefusedError(WaselError):
    """The module is malformed, invalid, unlinkable or too big."""

    exit_code = EXIT_REFUSED


class LinkError(WaselError):
    """The way to the device failed."""

    exit_code = EXIT_LINK


class PortError(LinkError):
    """The port cannot be opened."""


class LinkLostError(LinkError):
    """The port died under a request."""


class NoAnswerError(LinkError):
    """The device is silent."""


class BadAnswerError(LinkError):
    """The device answered something that the protocol does not allow."""


class DeviceError(LinkError):
    """The device answered with an error code.

    `group` and `code` are those of the SMP answer (`{"err": {"group", "rc"}}`, or group -1 for SMP version 1).
    """

    def __init__(self, message: str, *, group: int, code: int) -> None:
        super().__init__(message)
        self.group = group
        self.code = code


class DeniedError(DeviceError):
    """The device does not trust, or does not allow, what it was given; it says why."""

    exit_code = EXIT_REFUSED


class BrokerError(WaselError):
    """The MQTT broker is unreachable or closed the connection."""

    exit_code = EXIT_BROKER


class LoginRefusedError(BrokerError):
    """The broker does not take our login."""


class MessageError(WaselError):
    """A peer's MQTT message or a file is malformed."""


class BudgetError(WaselError):
    """Stopped by fuel or timeout."""

    exit_code = EXIT_BUDGET


class TrapError(WaselError):
    """The module trapped."""

    exit_code = EXIT_TRAP
