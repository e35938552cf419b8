# SPDX-License-Identifier: Apache-2.0
"""Generate what derives from the table of WASI calls, into build/generated/ and docs/wasi-calls.md.

sb_wasi_calls.h     labels, error numbers, rights, rows with module signatures and names (engine, server, tracer)
sb_wasi_handlers.h  prototypes of the handlers
sb_wasi_dispatch.c  the server's dispatch: takes each message apart, checks it, calls the handler
sb_wasi_stubs.c     the engine's host functions and import table

Files that would not change are left alone. Errors: TableError for a row that contradicts itself; OSError.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace

from edge_engine.files import write_if_changed
from edge_engine.paths import BUILD, ROOT
from sel4_bridge.littlefs import LITTLEFS_FOLDER
from sel4_bridge.system import write_layout_header
from sel4_bridge.wasi_table import CALLS, ERRNOS, GRANTS, LABEL_BASE, MODULES, PENDING, RIGHTS, Arg, Call, Kind

__all__ = [
    "ENGINE_PD_SOURCES",
    "GENERATED",
    "INCLUDE_FLAGS",
    "REFERENCE_PAGE",
    "STUB_SOURCES",
    "WASI_LOGIC_SOURCES",
    "WASI_PD_SOURCES",
    "TableError",
    "check_row",
    "reference_page",
    "write_generated",
]

GENERATED = BUILD / "generated"
REFERENCE_PAGE = ROOT / "docs" / "wasi-calls.md"
_BRIDGE = ROOT / "sel4_bridge"

MESSAGE_WORDS = 16  # SB_MESSAGE_WORDS, pinned by an assertion in the generated header

# Sources that the host runner and the protection domains share; the last one of each domain is its glue.
WASI_LOGIC_SOURCES = (
    *(
        _BRIDGE / "wasi" / f"{name}.c"
        for name in (
            "args",
            "channel",
            "clock",
            "directory",
            "fd",
            "file",
            "filestat",
            "flash_tree",
            "grants",
            "path",
            "poll",
            "process",
            "random",
            "slot",
            "socket",
            "topic",
            "trace",
            "tree",
            "wire",
        )
    ),
    GENERATED / "sb_wasi_dispatch.c",
)
WASI_PD_SOURCES = (*WASI_LOGIC_SOURCES, _BRIDGE / "wasi" / "output.c", _BRIDGE / "wasi" / "pd.c")
STUB_SOURCES = (
    *(_BRIDGE / "engine" / f"{name}.c" for name in ("files", "imports", "marshal", "run", "text")),
    GENERATED / "sb_wasi_stubs.c",
)
ENGINE_PD_SOURCES = (
    *STUB_SOURCES,
    _BRIDGE / "engine" / "coroutine.c",
    _BRIDGE / "engine" / "switch.S",
    _BRIDGE / "engine" / "entry.S",
    _BRIDGE / "engine" / "pd.c",
)
INCLUDE_FLAGS = (
    f"-I{_BRIDGE / 'include'}",
    f"-I{_BRIDGE / 'wasi'}",
    f"-I{_BRIDGE / 'engine'}",
    f"-I{GENERATED}",
    f"-I{ROOT / 'edge_engine' / 'include'}",
    f"-isystem{LITTLEFS_FOLDER}",
)

_BANNER = """/* SPDX-License-Identifier: Apache-2.0 */
/* Generated from sel4_bridge/wasi_table.py: {what}. Do not edit. */
"""


class TableError(Exception):
    """A row of the table contradicts itself or the wire format; fix sel4_bridge/wasi_table.py."""


@dataclass(frozen=True)
class _Shape:
    """How one kind of argument looks in generated C: {name} and {size} are the argument's, {a}, {b}, {n} parameters."""

    stub: str = ""  # the engine's call that puts it into the message
    handler: str = ""  # parameters of the handler
    take: tuple[str, ...] = ()  # the dispatch's declarations, checked
    passed: str = ""  # what the dispatch gives to the handler
    give: tuple[str, ...] = ()  # words of the answer
    question: str = ""  # the message register, for the reference page
    answer: str = ""  # the registers of the answer, likewise
    area: bool = False  # comes back in the shared buffer
    result: bool = False  # comes back at all


_ROOM = _Shape(
    handler="struct sb_out *{name}",
    take=("struct sb_out {name} = sb_take_room(wire);",),
    passed="&{name}",
    give=("{name}.used",),
    question="bytes of {name}",
    answer="bytes of {name}",
    area=True,
    result=True,
)
_BYTES = _Shape(
    handler="struct sb_in {name}",
    take=("struct sb_in {name} = sb_take_in(wire);",),
    passed="{name}",
    question="bytes of {name}",
)
_WORD = _Shape(
    stub="sb_put_u32(&call, {a});",
    handler="uint32_t {name}",
    take=("uint32_t {name} = sb_take_u32(wire);",),
    passed="{name}",
    question="{name}",
)
_RESULT = _Shape(
    stub="sb_out_u32(&call, {a});",
    handler="uint32_t *{name}",
    take=("uint32_t {name} = 0;",),
    passed="&{name}",
    give=("{name}",),
    answer="{name}",
    result=True,
)
_SHAPES = {
    Kind.U32: _WORD,
    Kind.FD: _WORD,
    Kind.U64: replace(
        _WORD,
        stub="sb_put_u64(&call, {a});",
        handler="uint64_t {name}",
        take=("uint64_t {name} = sb_take_u64(wire);",),
    ),
    Kind.PATH: replace(_BYTES, stub="sb_put_bytes(&call, {a}, {b}, SB_E_NAMETOOLONG);"),
    Kind.GATHER: replace(_BYTES, stub="sb_put_gather(&call, {a}, {b});"),
    Kind.IN_ARRAY: replace(_BYTES, stub="sb_put_array(&call, {a}, {n}, {size}u);"),
    Kind.SCATTER: replace(_ROOM, stub="sb_out_scatter(&call, {a}, {b});"),
    Kind.BUFFER: replace(_ROOM, stub="sb_out_bytes(&call, {a}, {b});"),
    Kind.FILL: replace(_ROOM, stub="sb_out_all(&call, {a}, {b});"),
    Kind.OUT_ARRAY: replace(_ROOM, stub="sb_out_array(&call, {a}, {n}, {size}u);"),
    Kind.OUT_STRUCT: _Shape(
        stub="sb_out_fixed(&call, {a}, {size}u);",
        handler="struct sb_out *{name}",
        take=("struct sb_out {name} = sb_take_fixed(wire, {size}u);",),
        passed="&{name}",
        area=True,
        result=True,
    ),
    Kind.STRINGS: _Shape(
        stub="sb_out_strings(&call, {a}, {b});",
        handler="struct sb_out *{name}, uint32_t *{name}_count",
        take=("struct sb_out {name} = sb_take_fixed(wire, SB_IO_SIZE);", "uint32_t {name}_count = 0;"),
        passed="&{name}, &{name}_count",
        give=("{name}_count", "{name}.used"),
        answer="count of {name}, bytes of {name}",
        area=True,
        result=True,
    ),
    Kind.COUNT: _Shape(),
    Kind.OUT_U32: _RESULT,
    Kind.OUT_U64: replace(
        _RESULT, stub="sb_out_u64(&call, {a});", handler="uint64_t *{name}", take=("uint64_t {name} = 0;",)
    ),
}
_SHAPES |= {
    Kind.ADDRESS: _Shape(
        stub="sb_put_address(&call, {a});",
        handler="const struct sb_address *{name}",
        take=("struct sb_address {name} = sb_take_address(wire);",),
        passed="&{name}",
        question="size, 8 bytes and 8 bytes of {name}",
    ),
    Kind.OUT_ADDRESS: _Shape(
        stub="sb_out_address(&call, {a});",
        handler="struct sb_address *{name}",
        take=("struct sb_address {name} = {{0, {{0}}}};",),
        passed="&{name}",
        give=("{name}.size", "sb_address_word(&{name}, 0)", "sb_address_word(&{name}, 1)"),
        answer="size, 8 bytes and 8 bytes of {name}",
        result=True,
    ),
}
_ARRAYS = {Kind.IN_ARRAY, Kind.OUT_ARRAY}
MAX_OUTS = 5  # SB_MAX_OUTS of engine/marshal.h


def check_row(call: Call) -> None:
    """Raise TableError for what the wire format can't carry."""
    names = [arg.name for arg in call.args]
    if len(set(names)) != len(names):
        raise TableError(f"{call.name}: two arguments have the same name")
    if sum(_SHAPES[arg.kind].area for arg in call.args) > 1:
        raise TableError(f"{call.name}: two areas of the shared buffer come back, both would lie at offset 0")
    if sum(_SHAPES[arg.kind].result for arg in call.args) > MAX_OUTS:
        raise TableError(f"{call.name}: more than {MAX_OUTS} results")
    if sum(bool(_SHAPES[arg.kind].question) for arg in call.args) > MESSAGE_WORDS:
        raise TableError(f"{call.name}: more than {MESSAGE_WORDS} message registers")
    counts = {arg.name for arg in call.args if arg.kind is Kind.COUNT}
    for arg in call.args:
        if (arg.kind in _ARRAYS or arg.kind is Kind.OUT_STRUCT) and arg.size <= 0:
            raise TableError(f"{call.name}: {arg.name} has no size")
        if arg.kind in _ARRAYS and arg.count not in counts:
            raise TableError(f"{call.name}: {arg.name} counts by {arg.count!r}, which is not a COUNT argument")


def _label(call: Call) -> str:
    return f"SB_WASI_{call.name.upper()}"


def _calls_header() -> str:
    lines = [
        _BANNER.format(what="labels, error numbers, rights and rows of the WASI calls"),
        "#pragma once",
        "",
        "#include <stdint.h>",
        "",
        '#include "sb_message.h"',
        "",
        f'_Static_assert(SB_MESSAGE_WORDS == {MESSAGE_WORDS}u, "sel4_bridge/generate.py counts with this");',
        "",
        f"#define SB_WASI_LABEL_BASE 0x{LABEL_BASE:x}u",
        f"#define SB_WASI_CALLS {len(CALLS)}u",
        f"#define SB_PENDING 0x{PENDING:x}u /* not an errno: the answer is not there yet */",
        "",
        "enum sb_wasi_label {",
        *(f"    {_label(call)} = 0x{LABEL_BASE + row:x}," for row, call in enumerate(CALLS)),
        "};",
        "",
        "enum sb_errno {",
        *(f"    SB_E_{name.upper()} = {number}," for number, name in enumerate(ERRNOS)),
        "};",
        "",
        *(f"#define SB_RIGHT_{name.upper()} ((uint64_t)1 << {bit})" for bit, name in enumerate(RIGHTS)),
        "",
        "/* X(name, label, wasm type with i for i32 and I for i64, linkable from wasi_unstable) */",
        "#define SB_WASI_ROWS(X) \\",
        " \\\n".join(f'    X({call.name}, {_label(call)}, "{call.signature}", {int(call.unstable)})' for call in CALLS),
        "",
        "/* X(module name, is wasi_unstable) */",
        "#define SB_WASI_MODULES(X) " + " ".join(f'X("{module.name}", {int(module.unstable)})' for module in MODULES),
    ]
    return "\n".join(lines) + "\n"


def _fill(template: str, call: Call, arg: Arg) -> str:
    """Fill in a template of an argument's shape."""
    places: dict[str, int] = {}
    at = 0
    for each in call.args:
        places[each.name] = at
        at += len(each.kind.params)
    first = places[arg.name]
    values = {"a": f"args[{first}]", "b": f"args[{first + 1}]", "name": arg.name, "size": str(arg.size)}
    if arg.count:
        values["n"] = f"args[{places[arg.count]}]"
    return template.format(**values)


def _handler_params(call: Call) -> str:
    params = [_fill(_SHAPES[arg.kind].handler, call, arg) for arg in call.args]
    return ", ".join(["struct sb_wasi_slot *slot", *filter(None, params)])


def _handlers_header() -> str:
    lines = [
        _BANNER.format(what="the handlers of the WASI calls, by hand in sel4_bridge/wasi/"),
        "#pragma once",
        "",
        '#include "slot.h"',
        "",
        "/* Each returns an enum sb_errno or SB_PENDING; results are read only after SB_E_SUCCESS. */",
        *(f"uint16_t sb_wasi_{call.name}({_handler_params(call)});" for call in CALLS),
    ]
    return "\n".join(lines) + "\n"


def _dispatch_case(call: Call) -> list[str]:
    """C lines that serve one call."""
    passed = [_fill(_SHAPES[arg.kind].passed, call, arg) for arg in call.args]
    body = [
        *(_fill(line, call, arg) for arg in call.args for line in _SHAPES[arg.kind].take),
        "if (!sb_taken(wire)) {",
        "    break;",
        "}",
        f"sb_give_error(wire, sb_wasi_{call.name}({', '.join(['wire->slot', *filter(None, passed)])}));",
        *(f"sb_give(wire, {_fill(word, call, arg)});" for arg in call.args for word in _SHAPES[arg.kind].give),
        "return;",
    ]
    return [f"    case {_label(call)}: {{", *(f"        {line}" for line in body), "    }"]


def _dispatch_source() -> str:
    lines = [
        _BANNER.format(what="takes WASI calls apart, checks them, calls their handlers"),
        '#include "sb_wasi_handlers.h"',
        '#include "wire.h"',
        "",
        "void sb_wasi_dispatch(struct sb_wire *wire)",
        "{",
        "    switch (wire->message->label) {",
    ]
    for call in CALLS:
        lines += _dispatch_case(call)
    lines += [
        "    default:",
        "        break;",
        "    }",
        "    wire->slot->counters.refused++;",
        "    sb_give_error(wire, SB_E_INVAL);",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _stub(call: Call) -> list[str]:
    body = list(filter(None, (_fill(_SHAPES[arg.kind].stub, call, arg) for arg in call.args)))
    unused = [] if call.args else ["(void)args;"]
    if not call.returns:
        unused.append("(void)results;")
    finish = "sb_marshal_finish(&call, results)" if call.returns else "sb_marshal_exit(&call)"
    return [
        f"static enum ee_trap stub_{call.name}(struct ee_instance *instance, void *bridge, const uint64_t *args,",
        f"{' ' * len(f'static enum ee_trap stub_{call.name}(')}uint64_t *results)",
        "{",
        "    struct sb_marshal call;",
        *(f"    {line}" for line in unused),
        f"    sb_marshal_begin(&call, instance, bridge, {_label(call)});",
        *(f"    {line}" for line in body),
        f"    return {finish};",
        "}",
        "",
    ]


def _stubs_source() -> str:
    lines = [
        _BANNER.format(what="one host function per WASI call, and the table of them"),
        '#include "imports.h"',
        '#include "marshal.h"',
        '#include "sb_wasi_calls.h"',
        "",
    ]
    for call in CALLS:
        lines += _stub(call)
    lines += [
        "const struct sb_wasi_row sb_wasi_rows[SB_WASI_CALLS] = {",
        *(
            f'    {{"{call.name}", "{call.signature}", {str(call.unstable).lower()}, stub_{call.name}}},'
            for call in CALLS
        ),
        "};",
    ]
    return "\n".join(lines) + "\n"


def _wire_words(call: Call) -> str:
    words = [_fill(_SHAPES[arg.kind].question, call, arg) for arg in call.args]
    return ", ".join(filter(None, words)) or "none"


def _wire_answer(call: Call) -> str:
    if not call.returns:
        return "does not come back"
    words = [_fill(_SHAPES[arg.kind].answer, call, arg) for arg in call.args]
    return ", ".join(["errno", *filter(None, words)])


def reference_page() -> str:
    """Return docs/wasi-calls.md."""
    lines = [
        "<!-- Generated from sel4_bridge/wasi_table.py by python -m sel4_bridge.generate. Do not edit. -->",
        "# WASI calls",
        "",
        "Every call of WASI preview1 that a module makes crosses seL4 IPC: a protected procedure call from the slot's",
        "engine to the `wasi` protection domain. The label says which call, the message registers hold scalars and",
        "lengths, bytes lie in the slot's 64 KiB shared buffer. `answer` lists the registers that come back.",
        "",
        "What a module may do comes with the start request (`grants`, `--grant`) or, if it is signed, with its",
        "manifest (`policy`). Without any, it has standard output and error, clocks and random numbers. A missing",
        "right is ENOTCAPABLE (76).",
        "",
        "| word | grants or limits |",
        "|---|---|",
        *(f"| `{word}` | {meaning} |" for word, meaning in GRANTS),
        "",
        "**/data** is the slot's own directory on flash (littlefs), whatever module is in the slot, where the device",
        "has flash (`store` of its status), else in RAM. A file's bytes are on flash after fd_sync, fd_datasync,",
        "fd_close and the end of the run; names and times at once. Not there, and refused: symbolic and hard links",
        "(ENOTSUP), files over 1 MiB (EFBIG), more than 12 open files (ENFILE), more than 16 levels of directories",
        "(EINVAL), more than 16 MiB of flash a slot (ENOSPC). A read or write moves 16 KiB at most, a",
        "file grows by as much at a time, and what a slot's calls take of the store's time is owed to the others:",
        "while another module could run, the slot's next call waits for as long. All other calls are short. The",
        "longest single operation copies or lists what the limits allow (a file of 1 MiB changed at its beginning).",
        "",
        "**/mqtt** is preopened where a topic is granted: `/mqtt/out/TOPIC` publishes what is written,",
        "`/mqtt/in/TOPIC` reads what arrives, both below the device's own prefix (docs/MQTT.md) and carried by its",
        "agent. A write is one message of at most 4096 bytes, a read gives bytes of one message; both wait, unless",
        "the descriptor is non-blocking. C's standard I/O sends a line as one message.",
        "",
        "**Sockets** are WasmEdge's extension (`sock_open` and further ones; addresses of 4 bytes, or of 128 with the",
        "family in the first two), carried by an agent that was started with `--sockets`: the device has no network.",
        "TCP client and server, UDP. Refused: names (`sock_getaddrinfo` is ENOTSUP), IPv6 (EAFNOSUPPORT), flags of",
        "`recv` and `send` (ENOTSUP), other options (ENOPROTOOPT). Connections end with the agent's run or the link.",
        "",
        "Imports outside this table are refused when the module is loaded, by name. `unstable` says which calls also",
        "link from `wasi_unstable`: those that mean the same there.",
        "",
        "| label | call | what | wasm type | message registers | answer | unstable | granted by |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| 0x{LABEL_BASE + row:x} | `{call.name}` | {call.brief} | `{call.signature}` | {_wire_words(call)} "
        f"| {_wire_answer(call)} | {'yes' if call.unstable else 'no'} "
        f"| {call.policy} |"
        for row, call in enumerate(CALLS)
    ]
    lines += [
        "",
        "## Error numbers",
        "",
        f"The first register of an answer. {PENDING:#x} is none of WASI's: the call has to wait, the engine goes back",
        "to its event loop and asks again after the notification.",
        "",
        ", ".join(f"{number} {name.upper()}" for number, name in enumerate(ERRNOS)) + ".",
    ]
    return "\n".join(lines) + "\n"


def write_generated() -> None:
    """Write every generated source under build/generated/ (the layout header too, which they include)."""
    for call in CALLS:
        check_row(call)
    write_layout_header(GENERATED / "sb_layout.h")
    write_if_changed(GENERATED / "sb_wasi_calls.h", _calls_header())
    write_if_changed(GENERATED / "sb_wasi_handlers.h", _handlers_header())
    write_if_changed(GENERATED / "sb_wasi_dispatch.c", _dispatch_source())
    write_if_changed(GENERATED / "sb_wasi_stubs.c", _stubs_source())


def main() -> int:
    """`python -m sel4_bridge.generate`: write the sources and the reference page."""
    write_generated()
    write_if_changed(REFERENCE_PAGE, reference_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
