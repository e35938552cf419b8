# SPDX-License-Identifier: Apache-2.0
"""The interpreter's operations: one row each, from which handlers, operand layouts and form tables are generated.

An operation's body is C over the macros of ``src/interpret.h``; ``{0}``, ``{1}``… stand for the distance of its
operands from ``pc``, ``{at}`` for the distance that identifies it when it traps. Operand kinds:

    s, d    slot (16-bit byte offset in the frame); d is written
    h       16 bits; constants and addresses' parts: sign-extended, zero-extended
    i       32 bits
    q       64 bits
    L       branch: 32-bit distance from the operand itself

Instructions of WebAssembly that compute have several forms, in the order that ``translate.h`` names: where operands
come from (S a slot, A the accumulator, K a constant in the code) times where the result goes (A the accumulator alone,
S the accumulator and a slot). The form with result in a slot has the number after its twin and ``d`` as last operand.
An i32 has undefined upper bits, so where an instruction of i32 and one of i64 compute the same lower half, one
operation is both: sums, products, bitwise operations (``int_``), extensions, loads and stores of the same bytes
(``TWINS``).
Instructions that foreign code hardly ever contains have fewer forms, each costing a dispatch where it is missed: shapes
``..._ONCE`` no results in slots, ``..._LEAN`` no constants (or, of unary ones, no slots) either.

Does not know superinstructions: they are sequences of rows (``superinstructions.txt``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edge_engine.operations_simd import vector_forms

__all__ = ["OPERAND_SIZES", "Operation", "Shape", "all_operations"]

OPERAND_SIZES = {"s": 2, "d": 2, "h": 2, "i": 4, "q": 8, "L": 4}


@dataclass(frozen=True)
class Operation:
    """One row: a handler's name, operand kinds and C body; ``ends`` if control never falls through its end."""

    name: str
    operands: str
    body: str
    ends: bool = False


@dataclass(frozen=True)
class Shape:
    """The forms of one WebAssembly instruction: enum ee_op's name, shape's name, the first form's operation.

    ``mirror``: what to add to the instruction's number for the one that does the same with operands exchanged (0 for
    sums); such instructions have no form SA. ``missing``: how many forms there are not before ``first``.
    """

    op: str
    shape: str
    first: str
    mirror: int | None = None
    missing: int = 0


READ = {
    "i": {"S": "S32({%d})", "A": "(uint32_t)acc", "K": "U32({%d})", "H": "(uint32_t)I16({%d})"},
    "I": {
        "S": "S64({%d})",
        "A": "acc",
        "K": "(uint64_t)(int64_t)I32({%d})",
        "H": "(uint64_t)(int64_t)I16({%d})",
        "Q": "U64({%d})",
        "W": "(uint64_t)(int64_t)I32({%d})",
    },
    "f": {"S": "SF32({%d})", "A": "FA32", "K": "KF32({%d})"},
    "F": {"S": "SF64({%d})", "A": "FA64", "K": "KF64({%d})"},
    "v": {"S": "SV({%d})", "A": "fa"},
}
CONSTANT = {"i": "i", "I": "i", "f": "i", "F": "q"}
CTYPE = {"i": "uint32_t", "I": "uint64_t", "f": "float", "F": "double", "v": "ee_f64x2"}
SET = {
    "i": "acc = (uint32_t)(%s);",
    "I": "acc = (uint64_t)(%s);",
    "f": "SET_FA32(%s);",
    "F": "SET_FA64(%s);",
    "v": "fa = %s;",
}
SAVE = {
    "i": "S64({%d}) = acc;",
    "I": "S64({%d}) = acc;",
    "f": "SF64({%d}) = FA64;",
    "F": "SF64({%d}) = FA64;",
    "v": "SV({%d}) = fa;",
}

MIRRORED_SOURCES = ("SS", "SK", "AS", "AK")
BINARY_SOURCES = (*MIRRORED_SOURCES, "SA")
LEAN_SOURCES = ("SS", "AS", "SA")
WIDE_SOURCES = (*MIRRORED_SOURCES, "SQ", "AQ")  # Q: a constant of 64 bits; K: a sign-extended shorter one
SUM_SOURCES = (*WIDE_SOURCES, "SW", "AW")  # W: a sign-extended constant of 32 bits; K: of 16
# Their constants K have 16 bits: of shifts no more count, and sums have form W. Elsewhere 32 bits.
SHORT = frozenset(
    {f"I{bits}_{name}" for bits in ("32", "64") for name in ("SHL", "SHR_S", "SHR_U", "ROTL", "ROTR")} | {"INT_ADD"}
)
UNARY_SOURCES = ("S", "A")
ROUNDING = ("CEIL", "FLOOR", "TRUNC", "NEAREST")
SHAPES = {  # sources, and where results go
    "BINARY": (BINARY_SOURCES, "AS"),
    "BINARY_WIDE": (WIDE_SOURCES, "AS"),
    "BINARY_SUM": (SUM_SOURCES, "AS"),
    "BINARY_ONCE": (BINARY_SOURCES, "A"),
    "BINARY_LEAN": (LEAN_SOURCES, "A"),
    "UNARY": (UNARY_SOURCES, "AS"),
    "UNARY_ONCE": (UNARY_SOURCES, "A"),
    "UNARY_LEAN": (("A",), "A"),
}
# Hardly ever met: less than one in 1,000 operations of foreign modules each, most far less.
ONCE = frozenset(
    {f"I64_{name}" for name in ("LT_S", "GT_S", "GT_U", "LE_S", "LE_U", "GE_S", "GE_U")}
    | {f"I32_{name}" for name in ("DIV_S", "DIV_U", "REM_S", "REM_U", "ROTR", "POPCNT")}
    | {"I64_SHR_S", "I64_ROTL", "I64_POPCNT"}
    | {f"F{bits}_{name}" for bits in ("32", "64") for name in ROUNDING}
    | {"F32_CONVERT_I64_S", "F32_CONVERT_I64_U"}
    | {f"F{bits}_{name}" for bits in ("32", "64") for name in ("EQ", "NE", "LT", "GT", "LE", "GE")}
    | {f"I{to}_TRUNC_F{of}_{sign}" for to in ("32", "64") for of in ("32", "64") for sign in "SU"}
)
LEAN = frozenset(
    {f"I64_{name}" for name in ("DIV_S", "DIV_U", "REM_S", "REM_U", "ROTR")}
    | {f"F{bits}_{name}" for bits in ("32", "64") for name in ("MIN", "MAX", "COPYSIGN")}
    | {f"I{to}_TRUNC_SAT_F{of}_{sign}" for to in ("32", "64") for of in ("32", "64") for sign in "SU"}
)
# Addresses: C is the 32-bit sum of a slot and a constant, K a constant with the instruction's own offset in it. The
# others have that offset, 16 bits, behind them; of greater ones operation "address" makes sums.
LOAD_SOURCES = ("S", "A", "K", "C")
STORE_SOURCES = ("SS", "SA", "SK", "AS", "AK", "KS", "KA", "CS", "CA", "CK")  # address, value
STORE_FLOAT_SOURCES = (*STORE_SOURCES, "AA")


def _sources(kinds: str, types: str) -> tuple[str, list[str]]:
    """Operand kinds and C expressions for reading operands of ``types`` from sources ``kinds``."""
    operands = ""
    reads = []
    for source, kind in zip(kinds, types, strict=True):
        text = READ[kind][source]
        if "%d" in text:
            text %= len(operands)
            operands += {"S": "s", "H": "h", "Q": "q", "W": "i"}.get(source, CONSTANT.get(kind, ""))
        reads.append(text)
    return operands, reads


def _computing(
    shapes: list[Shape],
    op: str,
    types: str,
    result: str,
    value: str,
    *,
    check: str = "",
    mirror: int | None = None,
    wide: str = "",
    name: str = "",
) -> list[Operation]:
    """All forms of an instruction that turns operands ``a`` (and ``b``) into one result; adds its shape.

    ``wide``: end of the shape's name; ``name``: how the operations are called, if not like the instruction.
    """
    shape = "UNARY" if len(types) == 1 else f"BINARY{wide}"
    shape += "_ONCE" if op in ONCE else "_LEAN" if op in LEAN else ""
    sources, destinations = SHAPES[shape]
    missing = 0
    if mirror is not None:
        sources = tuple(source for source in sources if source != "SA")
        if mirror < 0:  # of a pair the first one has form SS
            sources, missing = sources[1:], len(destinations)
    name = name or op.lower()
    shapes.append(Shape(op, shape, f"{name}_{sources[0]}_{destinations[0]}".lower(), mirror, missing))
    rows = []
    for source in sources:
        operands, reads = _sources(source.replace("K", "H") if op in SHORT or name.upper() in SHORT else source, types)
        declarations = " ".join(
            f"{CTYPE[kind]} {letter} = {read};" for kind, letter, read in zip(types, "ab", reads, strict=False)
        )
        for to in destinations:
            body = f"{declarations} {check} {SET[result] % f'({value})'}"
            if to == "S":
                body += " " + SAVE[result] % len(operands)
            rows.append(Operation(f"{name}_{source}_{to}".lower(), operands + ("d" if to == "S" else ""), body))
    return rows


# name, C value over a and b, mirror
BOTH_WIDTHS = (
    ("ADD", "a + b", 0),
    ("SUB", "a - b", None),
    ("MUL", "a * b", 0),
    ("AND", "a & b", 0),
    ("OR", "a | b", 0),
    ("XOR", "a ^ b", 0),
)
INT_SHIFT = (
    ("SHL", "a << (b & M)"),
    ("SHR_S", "(U)((S)a >> (b & M))"),
    ("SHR_U", "a >> (b & M)"),
    ("ROTL", "ee_rotlN(a, b)"),
    ("ROTR", "ee_rotrN(a, b)"),
)
ZERO = "if (b == 0) EE_TRAP(DIV_BY_ZERO, {at});"
INT_DIVISION = (
    ("DIV_S", ZERO + " if ((S)b == -1 && a == (U)1 << M) EE_TRAP(INT_OVERFLOW, {at});", "(U)((S)a / (S)b)"),
    ("DIV_U", ZERO, "a / b"),
    ("REM_S", ZERO, "(S)b == -1 ? 0 : (U)((S)a % (S)b)"),
    ("REM_U", ZERO, "a % b"),
)
INT_COMPARE = (
    ("EQ", "a == b", 0),
    ("NE", "a != b", 0),
    ("LT_S", "(S)a < (S)b", 2),
    ("LT_U", "a < b", 2),
    ("GT_S", "(S)a > (S)b", -2),
    ("GT_U", "a > b", -2),
    ("LE_S", "(S)a <= (S)b", 2),
    ("LE_U", "a <= b", 2),
    ("GE_S", "(S)a >= (S)b", -2),
    ("GE_U", "a >= b", -2),
)
FLOAT_BINARY = (
    ("ADD", "a + b", 0),  # which operand's NaN it is does not matter (core spec 4.3.3)
    ("SUB", "a - b", None),
    ("MUL", "a * b", 0),
    ("DIV", "a / b", None),
    ("MIN", "ee_minN(a, b)", None),
    ("MAX", "ee_maxN(a, b)", None),
    ("COPYSIGN", "ee_copysignN(a, b)", None),
)
FLOAT_COMPARE = (
    ("EQ", "a == b", 0),
    ("NE", "a != b", 0),
    ("LT", "a < b", 1),
    ("GT", "a > b", -1),
    ("LE", "a <= b", 1),
    ("GE", "a >= b", -1),
)

# op, operand type, result type, value
UNARY = (
    ("I32_EQZ", "i", "i", "a == 0"),
    ("I64_EQZ", "I", "i", "a == 0"),
    ("I32_CLZ", "i", "i", "ee_clz32(a)"),
    ("I32_CTZ", "i", "i", "ee_ctz32(a)"),
    ("I32_POPCNT", "i", "i", "ee_popcnt32(a)"),
    ("I64_CLZ", "I", "I", "ee_clz64(a)"),
    ("I64_CTZ", "I", "I", "ee_ctz64(a)"),
    ("I64_POPCNT", "I", "I", "ee_popcnt64(a)"),
    ("I32_EXTEND8_S", "i", "I", "(uint64_t)(int8_t)a"),
    ("I32_EXTEND16_S", "i", "I", "(uint64_t)(int16_t)a"),
    ("I64_EXTEND_I32_S", "i", "I", "(uint64_t)(int32_t)a"),
    ("I64_EXTEND_I32_U", "i", "I", "(uint64_t)a"),
    ("F32_SQRT", "f", "f", "__builtin_sqrtf(a)"),
    ("F64_SQRT", "F", "F", "__builtin_sqrt(a)"),
    ("F32_CONVERT_I32_S", "i", "f", "(float)(int32_t)a"),
    ("F32_CONVERT_I32_U", "i", "f", "(float)a"),
    ("F32_CONVERT_I64_S", "I", "f", "(float)(int64_t)a"),
    ("F32_CONVERT_I64_U", "I", "f", "(float)a"),
    ("F32_DEMOTE_F64", "F", "f", "(float)a"),
    ("F64_CONVERT_I32_S", "i", "F", "(double)(int32_t)a"),
    ("F64_CONVERT_I32_U", "i", "F", "(double)a"),
    ("F64_CONVERT_I64_S", "I", "F", "(double)(int64_t)a"),
    ("F64_CONVERT_I64_U", "I", "F", "(double)a"),
    ("F64_PROMOTE_F32", "f", "F", "(double)a"),
    ("I32_REINTERPRET_F32", "f", "i", "ee_bits32(a)"),
    ("I64_REINTERPRET_F64", "F", "I", "ee_bits64(a)"),
    ("F32_REINTERPRET_I32", "i", "f", "ee_float32(a)"),
    ("F64_REINTERPRET_I64", "I", "F", "ee_float64(a)"),
)

# Instructions that are done by another one's operations.
TWINS = {
    "I64_EXTEND8_S": "I32_EXTEND8_S",
    "I64_EXTEND16_S": "I32_EXTEND16_S",
    "I64_EXTEND32_S": "I64_EXTEND_I32_S",
    "I64_LOAD8_S": "I32_LOAD8_S",
    "I64_LOAD8_U": "I32_LOAD8_U",
    "I64_LOAD16_S": "I32_LOAD16_S",
    "I64_LOAD16_U": "I32_LOAD16_U",
    "I64_LOAD32_U": "I32_LOAD",
    "I64_STORE8": "I32_STORE8",
    "I64_STORE16": "I32_STORE16",
    "I64_STORE32": "I32_STORE",
}

# op, result type, C type of the access
LOADS = (
    ("I32_LOAD", "i", "ee_u32u"),
    ("I64_LOAD", "I", "ee_u64u"),
    ("F32_LOAD", "f", "ee_f32u"),
    ("F64_LOAD", "F", "ee_f64u"),
    ("I32_LOAD8_S", "i", "int8_t"),
    ("I32_LOAD8_U", "i", "uint8_t"),
    ("I32_LOAD16_S", "i", "ee_i16u"),
    ("I32_LOAD16_U", "i", "ee_u16u"),
    ("I64_LOAD32_S", "I", "ee_i32u"),
)
SIGNED = frozenset({"int8_t", "ee_i16u", "ee_i32u"})
STORES = (
    ("I32_STORE", "i", "ee_u32u", "uint32_t"),
    ("I64_STORE", "I", "ee_u64u", "uint64_t"),
    ("F32_STORE", "f", "ee_f32u", "float"),
    ("F64_STORE", "F", "ee_f64u", "double"),
    ("I32_STORE8", "i", "uint8_t", "uint8_t"),
    ("I32_STORE16", "i", "ee_u16u", "uint16_t"),
)
ADDRESS_OPERANDS = {"S": "s", "A": "", "K": "i", "C": "si"}
ADDRESS = {
    "S": "(uint64_t)S32({0})",
    "A": "(uint64_t)(uint32_t)acc",
    "K": "U32({0})",
    "C": "S32({0}) + U32({1})",
}


OWN_OFFSET = "KC"  # no offset operand


def _address(source: str, offset: int) -> str:
    """C that declares ``ea``; ``offset`` is the number of the instruction's offset among the operands."""
    plus = "" if source in OWN_OFFSET else f" + U16({{{offset}}})"
    return f"uint64_t ea = {ADDRESS[source]}{plus};"


def _load(op: str, result: str, access: str) -> list[Operation]:
    rows = []
    if access in SIGNED:
        result = "I"  # for a twin's sake
    for source in LOAD_SOURCES:
        operands = ADDRESS_OPERANDS[source]
        address = _address(source, len(operands))
        operands += "" if source in OWN_OFFSET else "h"
        for to in "AS":
            body = (
                f"{address} EE_CHECK(ea, sizeof({access}), {{at}}); "
                f"{CTYPE[result]} v = ({CTYPE[result]})*(const {access} *)(mem + ea); EE_KEEP_PC(); {SET[result] % 'v'}"
            )
            if to == "S":
                body += " " + SAVE[result] % len(operands)
            rows.append(Operation(f"{op}_{source}_{to}".lower(), operands + ("d" if to == "S" else ""), body))
    return rows


def _store(op: str, kind: str, access: str, cast: str) -> list[Operation]:
    rows = []
    for source in STORE_FLOAT_SOURCES if kind in "fF" else STORE_SOURCES:
        operands = ADDRESS_OPERANDS[source[0]]
        from_ = "H" if source[1] == "K" and kind in "iI" else source[1]
        value = READ[kind][from_]
        if "%d" in value:
            value %= len(operands)
            operands += {"S": "s", "H": "h"}.get(from_, CONSTANT[kind])
        address = _address(source[0], len(operands))
        body = (
            f"{CTYPE[kind]} v = {value}; {address} "
            f"EE_CHECK(ea, sizeof({access}), {{at}}); *({access} *)(mem + ea) = ({cast})v; EE_KEEP_PC();"
        )
        rows.append(Operation(f"{op}_{source}".lower(), operands + ("" if source[0] in OWN_OFFSET else "h"), body))
    return rows


def _integers(rows: list[Operation], shapes: list[Shape]) -> None:
    for name, value, mirror in BOTH_WIDTHS:
        wide = "_SUM" if name == "ADD" else "" if mirror is None else "_WIDE"
        rows += _computing(
            shapes, f"I64_{name}", "II", "I", value, mirror=mirror, wide=wide, name=f"int_{name.lower()}"
        )
        shapes.append(replace(shapes[-1], op=f"I32_{name}"))
    for kind, bits, result in (("i", "32", "i"), ("I", "64", "I")):

        def fill(text: str, bits: str = bits) -> str:
            """N bits, M the greatest shift, S and U the C types."""
            words = {
                "(S)": f"(int{bits}_t)",
                "(U)": f"(uint{bits}_t)",
                "& M": f"& {int(bits) - 1}",
                "<< M": f"<< {int(bits) - 1}",
            }
            for word, by in words.items():
                text = text.replace(word, by)
            return text.replace("ee_rotlN", f"ee_rotl{bits}").replace("ee_rotrN", f"ee_rotr{bits}")

        for name, value in INT_SHIFT:
            rows += _computing(shapes, f"I{bits}_{name}", kind * 2, result, fill(value))
        for name, check, value in INT_DIVISION:
            rows += _computing(shapes, f"I{bits}_{name}", kind * 2, result, fill(value), check=fill(check))
        for name, value, mirror in INT_COMPARE:
            rows += _computing(shapes, f"I{bits}_{name}", kind * 2, "i", fill(value), mirror=mirror)


def _floats(rows: list[Operation], shapes: list[Shape]) -> None:
    for kind, bits in (("f", "32"), ("F", "64")):
        for name, value, mirror in (*FLOAT_BINARY, *FLOAT_COMPARE):
            result = "i" if (name, value, mirror) in FLOAT_COMPARE else kind
            filled = value.replace("N(", f"{bits}(")
            rows += _computing(shapes, f"F{bits}_{name}", kind * 2, result, filled, mirror=mirror)
        for name in ("ABS", "NEG", *ROUNDING):
            rows += _computing(shapes, f"F{bits}_{name}", kind, kind, f"ee_{name.lower()}{bits}(a)")


def _conversions(rows: list[Operation], shapes: list[Shape]) -> None:
    for op, operand, result, value in UNARY:
        rows += _computing(shapes, op, operand, result, value)
    for bits, result in (("32", "i"), ("64", "I")):
        for source, operand in (("32", "f"), ("64", "F")):
            for sign in "SU":
                letter = {"S": "I", "U": "U"}[sign]
                fits = f"EE_FITS_{letter}{bits}_F{source}(a)"
                ctype = f"{'u' if sign == 'U' else ''}int{bits}_t"
                low = "0" if sign == "U" else f"INT{bits}_MIN"
                high = f"{'U' if sign == 'U' else ''}INT{bits}_MAX"
                check = (
                    f"if (!({fits})) {{{{ if (a != a) EE_TRAP(INVALID_CONVERSION, {{at}}); "
                    "EE_TRAP(INT_OVERFLOW, {at}); }}"
                )
                saturated = f"EE_SATURATE({fits}, a, {ctype}, {low}, {high})"
                name = f"I{bits}_TRUNC_F{source}_{sign}"
                rows += _computing(shapes, name, operand, result, f"({ctype})a", check=check)
                rows += _computing(shapes, name.replace("TRUNC", "TRUNC_SAT"), operand, result, saturated)


def _memory(rows: list[Operation], shapes: list[Shape]) -> None:
    for op, result, access in LOADS:
        shapes.append(Shape(op, "LOAD", f"{op}_s_a".lower()))
        rows += _load(op, result, access)
    for op, kind, access, cast in STORES:
        shapes.append(Shape(op, "STORE", f"{op}_ss".lower()))
        rows += _store(op, kind, access, cast)


NO_ADDRESS = "if (__builtin_expect(acc >> 32 != 0, 0)) EE_TRAP(OOB_MEMORY, {at});"


def _moves() -> list[Operation]:
    """Between slots, constants, accumulators and globals. A global is named by its distance from the instance."""
    rows = [
        Operation("copy", "sd", "S64({1}) = S64({0});"),
        Operation("copy_v", "sd", "ee_f64x2 v = SV({0}); SV({1}) = v;"),
        Operation("const_a", "h", "acc = (uint64_t)(int64_t)I16({0});"),
        Operation("const_s", "hd", "S64({1}) = (uint64_t)(int64_t)I16({0});"),
        Operation("const32_a", "i", "acc = (uint64_t)(int64_t)I32({0});"),
        Operation("const32_s", "id", "S64({1}) = (uint64_t)(int64_t)I32({0});"),
        Operation("const64_a", "q", "acc = U64({0});"),
        Operation("const64_s", "qd", "S64({1}) = U64({0});"),
        Operation("const_f32", "i", "SET_FA32(KF32({0}));"),
        Operation("const_f64", "q", "SET_FA64(KF64({0}));"),
        Operation("const_v", "qq", "uint64_t v[2] = {{U64({0}), U64({1})}}; __builtin_memcpy(&fa, v, 16);"),
        # Address and offset, before an access whose offset has more than 16 bits; beyond 2^32 there is no memory.
        Operation("address_s", "si", "acc = (uint64_t)S32({0}) + U32({1}); " + NO_ADDRESS),
        Operation("address_a", "i", "acc = (uint64_t)(uint32_t)acc + U32({0}); " + NO_ADDRESS),
        Operation("load_a", "s", "acc = S64({0});"),
        Operation("store_a", "d", "S64({0}) = acc;"),
        Operation("load_f", "s", "SET_FA64(SF64({0}));"),
        Operation("store_f", "d", "SF64({0}) = FA64;"),
        Operation("load_v", "s", "fa = SV({0});"),
        Operation("store_v", "d", "SV({0}) = fa;"),
    ]
    cell = "(*(uint64_t *)((uint8_t *)in + U32({0})))"
    far = "(*(struct ee_global_cell **)((uint8_t *)in + U32({0})))->value"
    for place, base in (("global", f"&{cell}"), ("import", far)):
        for kind, access, value in (("a", "uint64_t", "acc"), ("f", "double", "FA64"), ("v", "ee_vecu", "fa")):
            take = {"a": "acc = %s;", "f": "SET_FA64(%s);", "v": "fa = %s;"}[kind]
            where = f"*({access} *)({base})"
            save = {"a": "S64({1}) = acc;", "f": "SF64({1}) = FA64;", "v": "SV({1}) = fa;"}[kind]
            rows += [
                Operation(f"{place}_get_{kind}", "i", take % where),
                Operation(f"{place}_get_{kind}_s", "id", f"{take % where} {save}"),
                Operation(f"{place}_set_{kind}", "i", f"{where} = {value};"),
            ]
    return rows


def _selects() -> list[Operation]:
    """Operands a, b in slots, the condition in a slot or the accumulator."""
    rows = []
    for kind, read, take, save in (
        ("a", "S64", "acc = %s;", "S64({%d}) = acc;"),
        ("f", "SF64", "SET_FA64(%s);", "SF64({%d}) = FA64;"),
        ("v", "SV", "fa = %s;", "SV({%d}) = fa;"),
    ):
        for source in "SA":
            condition = "S32({2})" if source == "S" else "(uint32_t)acc"
            pick = f"uint32_t at = {condition} != 0 ? U16({{0}}) : U16({{1}}); "
            value = {"S64": "*(uint64_t *)(fp + at)", "SF64": "*(double *)(fp + at)", "SV": "*(ee_vecu *)(fp + at)"}[
                read
            ]
            operands = "sss" if source == "S" else "ss"
            name = f"select_{kind}_{source.lower()}"
            rows.append(Operation(f"{name}_a", operands, pick + take % value))
            rows.append(
                Operation(f"{name}_s", operands + "d", pick + take % value + " " + save % len(operands)),
            )
    return rows


def _control() -> list[Operation]:
    return [
        Operation("exit", "", "EE_MUSTTAIL return ee_exit(EE_PASS(pc));", ends=True),
        Operation("lazy", "", "EE_MUSTTAIL return ee_lazy(EE_PASS(pc));", ends=True),
        Operation("native", "i", "EE_MUSTTAIL return ee_native(EE_PASS(pc + {0}));", ends=True),
        Operation("unreachable", "", "EE_TRAP(UNREACHABLE, {at});", ends=True),
        Operation("br", "L", "EE_BRANCH({0});", ends=True),
        Operation("br_if_s", "sL", "if (S32({0}) != 0) EE_BRANCH({1});"),
        # The condition was the accumulator's last use: a comparison before it need not put its result there.
        Operation("br_if_d", "L", "bool taken = (uint32_t)acc != 0; EE_FORGET_ACC(); if (taken) EE_BRANCH({0});"),
        Operation("br_unless_d", "L", "bool taken = (uint32_t)acc == 0; EE_FORGET_ACC(); if (taken) EE_BRANCH({0});"),
        Operation("br_if_a", "L", "if ((uint32_t)acc != 0) EE_BRANCH({0});"),
        Operation("br_unless_s", "sL", "if (S32({0}) == 0) EE_BRANCH({1});"),
        Operation("br_unless_a", "L", "if ((uint32_t)acc == 0) EE_BRANCH({0});"),
        # i: number of the last entry; the entries follow as operands of kind L
        Operation(
            "br_table_a",
            "i",
            "uint32_t n = (uint32_t)acc; if (n > U32({0})) n = U32({0}); "
            "const uint8_t *entry = pc + {0} + 4 + 4 * (uint64_t)n; EE_GO(entry + *(const ee_i32u *)entry);",
            ends=True,
        ),
        # function start: frame bytes, return address's slot, slots to clear behind it; acc is the return address
        Operation(
            "enter",
            "hhh",
            "uint64_t *slot = (uint64_t *)(fp + U16({1})); *slot = acc; "
            "if (__builtin_expect(in->stack_limit - fp < (ptrdiff_t)U16({0}), 0)) EE_TRAP(STACK_EXHAUSTED, {at}); "
            "for (uint32_t n = U16({2}); n != 0; n--) {{ *++slot = 0; EE_ONE_BY_ONE(slot); }}",
        ),
        Operation(
            "enter_0",
            "hh",
            "S64({1}) = acc; if (__builtin_expect(in->stack_limit - fp < (ptrdiff_t)U16({0}), 0)) "
            "EE_TRAP(STACK_EXHAUSTED, {at});",
        ),
        Operation("fuel", "i", "if (__builtin_expect((in->fuel -= U32({0})) < 0, 0)) EE_TRAP(FUEL_EXHAUSTED, {at});"),
        # A call's last operand is the distance of the two frames, which the return reads just before its address.
        Operation(
            "call",
            "ih",
            "const struct ee_func *f = (const struct ee_func *)((uint8_t *)in + U32({0})); fp += U16({1}); "
            "acc = (uint64_t)(uintptr_t)(pc + {1} + 2); EE_GO(ee_code(in, f->code));",
            ends=True,
        ),
        Operation("call_import", "ih", "EE_MUSTTAIL return ee_call_import(EE_PASS(pc + {0}));", ends=True),
        Operation("call_indirect_s", "siih", "acc = S32({0}); EE_CALL_INDIRECT({1});", ends=True),
        Operation("call_indirect_a", "iih", "EE_CALL_INDIRECT({0});", ends=True),
        Operation(
            "return", "h", "pc = *(const uint8_t **)SLOT({0}); fp -= *(const ee_u16u *)(pc - 2); EE_GO(pc);", ends=True
        ),
        # several results: return address's slot, first result's slot, bytes
        Operation(
            "return_many",
            "hsi",
            "const uint8_t *to = *(const uint8_t **)SLOT({0}); memmove(fp, SLOT({1}), U32({2})); pc = to; "
            "fp -= *(const ee_u16u *)(pc - 2); EE_GO(pc);",
            ends=True,
        ),
        # function, return address's slot, first argument's slot, bytes of arguments
        Operation("return_call", "ihsi", "EE_MUSTTAIL return ee_return_call(EE_PASS(pc + {0}));", ends=True),
        # acc: table index; type, table, return address's slot, first argument's slot, bytes of arguments
        Operation(
            "return_call_indirect", "iihsi", "EE_MUSTTAIL return ee_return_call_indirect(EE_PASS(pc + {0}));", ends=True
        ),
    ]


CHECKED = "enum ee_trap t = %s; if (__builtin_expect(t != EE_TRAP_NONE, 0)) EE_TRAP_VALUE(t, {at});"
OPERANDS = "(uint64_t *)SLOT({0})"


def _bulk() -> list[Operation]:
    """Memories, tables and references; operands lie side by side in slots, the first is named."""
    return [
        Operation("memory_size", "", "acc = in->memory->pages;"),
        Operation("memory_grow", "s", "acc = ee_memory_grow(in, S32({0})); mem = in->memory->base;"),
        Operation("memory_copy", "s", CHECKED % f"ee_memory_copy(in, {OPERANDS})"),
        Operation("memory_fill", "s", CHECKED % f"ee_memory_fill(in, {OPERANDS})"),
        Operation("memory_init", "si", CHECKED % f"ee_memory_init(in, {OPERANDS}, U32({{1}}))"),
        Operation("data_drop", "i", "in->data_dropped[U32({0})] = 1;"),
        Operation("table_get", "si", CHECKED % f"ee_table_get(in, {OPERANDS}, U32({{1}}))" + " acc = S64({0});"),
        Operation("table_set", "si", CHECKED % f"ee_table_set(in, {OPERANDS}, U32({{1}}))"),
        Operation("table_size", "i", "acc = in->tables[U32({0})]->size;"),
        Operation("table_grow", "si", f"acc = ee_table_grow(in, {OPERANDS}, U32({{1}}));"),
        Operation("table_fill", "si", CHECKED % f"ee_table_fill(in, {OPERANDS}, U32({{1}}))"),
        Operation("table_copy", "sii", CHECKED % f"ee_table_copy(in, {OPERANDS}, U32({{1}}), U32({{2}}))"),
        Operation("table_init", "sii", CHECKED % f"ee_table_init(in, {OPERANDS}, U32({{1}}), U32({{2}}))"),
        Operation("elem_drop", "i", "in->element_dropped[U32({0})] = 1;"),
        Operation("ref_func", "i", "acc = (uint64_t)(uintptr_t)ee_reference(in, U32({0}));"),
    ]


def all_operations() -> tuple[tuple[Operation, ...], tuple[Shape, ...]]:
    """Every operation in the order of its numbers, and the shapes of instructions that have several forms."""
    rows: list[Operation] = []
    shapes: list[Shape] = []
    _integers(rows, shapes)
    _floats(rows, shapes)
    _conversions(rows, shapes)
    _memory(rows, shapes)
    by_op = {shape.op: shape for shape in shapes}
    shapes += [replace(by_op[twin], op=op) for op, twin in TWINS.items()]
    rows += [*_moves(), *_selects(), *_control(), *_bulk()]
    forms, vector_shapes = vector_forms()
    rows += [Operation(form.name, form.operands, form.body) for form in forms]
    shapes += [Shape(shape.op, shape.shape, shape.first) for shape in vector_shapes]
    return tuple(rows), tuple(shapes)
