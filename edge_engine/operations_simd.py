# SPDX-License-Identifier: Apache-2.0
"""The interpreter's operations on v128 (core spec 4.3.6, 4.4.3), in the form that ``operations.py`` describes.

Vectors come from a slot (S) or the floating-point accumulator (A) and results stay in the accumulator; fewer forms than
scalars have, because there are many instructions and few programs. Each of a row's forms has one sources' string:

=======  =============================================================
UNARY    S, A
BINARY   SS, AS, SA
SHIFT    SS, SK, AS, AK      vector, count
TERNARY  SSS
EXTRACT  S, A                then the lane
REPLACE  SS, AS              vector, number; then the lane
SHUFFLE  SS                  then 16 lanes
LOAD     S, A, K             address; then the offset
STORE    SS, SA, AS, AA      address, vector; then the offset
LANE     SS                  address, vector; then offset and lane
=======  =============================================================

Values are C over the macros of ``src/vector.h``; a and b are vectors of type ee_f64x2, x is a number, m a shift count.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VectorForm", "VectorShape", "vector_forms"]

LANES = {"8": 16, "16": 8, "32": 4, "64": 2}


@dataclass(frozen=True)
class VectorForm:
    """As operations.Operation."""

    name: str
    operands: str
    body: str


@dataclass(frozen=True)
class VectorShape:
    """As operations.Shape."""

    op: str
    shape: str
    first: str


_VECTOR = {"S": "SV({%d})", "A": "fa"}
_NUMBER = {
    "i": ("uint32_t", {"S": "S32({%d})", "A": "(uint32_t)acc"}),
    "I": ("uint64_t", {"S": "S64({%d})", "A": "acc"}),
    "f": ("float", {"S": "SF32({%d})", "A": "FA32"}),
    "F": ("double", {"S": "SF64({%d})", "A": "FA64"}),
}
_SET = {
    "i": "acc = (uint32_t)(%s);",
    "I": "acc = (uint64_t)(%s);",
    "f": "SET_FA32(%s);",
    "F": "SET_FA64(%s);",
    "v": "fa = (ee_f64x2)(%s);",
}


class _Rows:
    """Collects operations and shapes."""

    def __init__(self) -> None:
        self.forms: list[VectorForm] = []
        self.shapes: list[VectorShape] = []

    def add(self, op: str, shape: str, forms: list[VectorForm]) -> None:
        self.shapes.append(VectorShape(op, f"VECTOR_{shape}", forms[0].name))
        self.forms += forms

    def unary(self, op: str, value: str, result: str = "v") -> None:
        """Take one vector and give a vector or number."""
        forms = []
        for source in "SA":
            read = _VECTOR[source] % 0 if source == "S" else _VECTOR[source]
            name, operands = f"{op}_{source}".lower(), "s" if source == "S" else ""
            forms.append(VectorForm(name, operands, f"ee_f64x2 a = {read}; {_SET[result] % value}"))
        self.add(op, "UNARY", forms)

    def binary(self, op: str, value: str) -> None:
        """Take two vectors and give one."""
        reads = {"SS": ("SV({0})", "SV({1})"), "AS": ("fa", "SV({0})"), "SA": ("SV({0})", "fa")}
        self.add(
            op,
            "BINARY",
            [
                VectorForm(
                    f"{op}_{sources}".lower(),
                    "s" * sources.count("S"),
                    f"ee_f64x2 a = {a}, b = {b}; {_SET['v'] % value}",
                )
                for sources, (a, b) in reads.items()
            ],
        )

    def shift(self, op: str, bits: str, value: str) -> None:
        """Shift a vector by a count."""
        forms = []
        for sources in ("SS", "SK", "AS", "AK"):
            vector = "SV({0})" if sources[0] == "S" else "fa"
            at = 1 if sources[0] == "S" else 0
            count = f"S32({{{at}}})" if sources[1] == "S" else f"U32({{{at}}})"
            operands = ("s" if sources[0] == "S" else "") + ("s" if sources[1] == "S" else "i")
            body = f"ee_f64x2 a = {vector}; uint32_t m = {count} & {int(bits) - 1}; {_SET['v'] % value}"
            forms.append(VectorForm(f"{op}_{sources}".lower(), operands, body))
        self.add(op, "SHIFT", forms)

    def splat(self, op: str, kind: str, value: str) -> None:
        """Take a number and give a vector."""
        ctype, reads = _NUMBER[kind]
        forms = []
        for source in "SA":
            read = reads[source] % 0 if source == "S" else reads[source]
            body = f"{ctype} x = {read}; {_SET['v'] % value}"
            forms.append(VectorForm(f"{op}_{source}".lower(), "s" if source == "S" else "", body))
        self.add(op, "UNARY", forms)

    def extract(self, op: str, result: str, value: str) -> None:
        """Take a lane out of a vector; ``value`` has ``lane``."""
        forms = []
        for source in "SA":
            read, at = ("SV({0})", 1) if source == "S" else ("fa", 0)
            body = f"ee_f64x2 a = {read}; uint32_t lane = U16({{{at}}}); {_SET[result] % value}"
            forms.append(VectorForm(f"{op}_{source}".lower(), "sh" if source == "S" else "h", body))
        self.add(op, "EXTRACT", forms)

    def replace(self, op: str, kind: str, vector: str) -> None:
        """Put a number into a lane."""
        ctype, reads = _NUMBER[kind]
        forms = []
        for source in "SA":
            read, at = ("SV({0})", 1) if source == "S" else ("fa", 0)
            body = (
                f"{vector} r = ({vector}){read}; {ctype} x = {reads['S'] % at}; "
                f"r[U16({{{at + 1}}}) & {LANES[_bits(vector)] - 1}] = ({_element(vector)})x; {_SET['v'] % 'r'}"
            )
            forms.append(VectorForm(f"{op}_{source}S".lower(), "ssh" if source == "S" else "sh", body))
        self.add(op, "REPLACE", forms)

    def load(self, op: str, access: str, value: str) -> None:
        """Read memory into a vector; ``value`` has ``v``, what was read."""
        forms = []
        for source, address in (("S", "S32({0})"), ("A", "(uint32_t)acc"), ("K", "U32({0})")):
            at = 0 if source == "A" else 1
            body = (
                f"uint64_t ea = (uint64_t){address} + U32({{{at}}}); EE_CHECK(ea, sizeof({access}), {{at}}); "
                f"{access} v = *(const {access} *)(mem + ea); EE_KEEP_PC(); {_SET['v'] % value}"
            )
            forms.append(VectorForm(f"{op}_{source}".lower(), {"S": "s", "A": "", "K": "i"}[source] + "i", body))
        self.add(op, "LOAD", forms)

    def store(self, op: str) -> None:
        """Put a whole vector into memory."""
        forms = []
        for sources in ("SS", "SA", "AS", "AA"):
            address = "S32({0})" if sources[0] == "S" else "(uint32_t)acc"
            slots = sources.count("S")
            vector = f"SV({{{slots - 1}}})" if sources[1] == "S" else "fa"
            body = (
                f"ee_f64x2 v = {vector}; uint64_t ea = (uint64_t){address} + U32({{{slots}}}); "
                "EE_CHECK(ea, 16, {at}); *(ee_vecu *)(mem + ea) = v; EE_KEEP_PC();"
            )
            forms.append(VectorForm(f"{op}_{sources}".lower(), "s" * slots + "i", body))
        self.add(op, "STORE", forms)

    def lane(self, bits: str) -> None:
        """Read and write one lane in memory."""
        access = "uint8_t" if bits == "8" else f"ee_u{bits}u"
        vector, most = f"ee_u{bits}x{LANES[bits]}", LANES[bits] - 1
        start = (
            f"{vector} r = ({vector})SV({{1}}); uint64_t ea = (uint64_t)S32({{0}}) + U32({{2}}); "
            f"EE_CHECK(ea, sizeof({access}), {{at}}); "
        )
        op = f"V128_LOAD{bits}_LANE"
        body = f"{start}{access} v = *(const {access} *)(mem + ea); EE_KEEP_PC(); r[U16({{3}}) & {most}] = v; "
        self.add(op, "LANE", [VectorForm(op.lower(), "ssih", body + _SET["v"] % "r")])
        op = f"V128_STORE{bits}_LANE"
        body = f"{start}*({access} *)(mem + ea) = r[U16({{3}}) & {most}]; EE_KEEP_PC();"
        self.add(op, "LANE", [VectorForm(op.lower(), "ssih", body)])


def _bits(vector: str) -> str:
    """Bits of a lane of a vector type's name."""
    return vector[4:].partition("x")[0]


def _element(vector: str) -> str:
    """C type of a lane of a vector type's name."""
    bits = _bits(vector)
    return {"f32": "float", "f64": "double"}.get(vector[3] + bits) or f"{'u' if vector[3] == 'u' else ''}int{bits}_t"


def _type(bits: str, sign: str) -> str:
    return f"ee_{sign}{bits}x{LANES[bits]}"


def _each(vector: str, expression: str) -> str:
    """Vector made lane by lane; n is the lane's number."""
    return f"EE_LANES({vector}, {_element(vector)}, {LANES[_bits(vector)]}, {expression})"


def _lane(vector: str, of: str, index: str = "n") -> str:
    return f"(({vector}){of})[{index}]"


COMPARE = {"EQ": "==", "NE": "!=", "LT": "<", "GT": ">", "LE": "<=", "GE": ">="}


def _integer_shape(rows: _Rows, bits: str) -> None:
    """Instructions that all integer shapes have."""
    op, u, i = f"I{bits}X{LANES[bits]}_", _type(bits, "u"), _type(bits, "i")
    rows.binary(op + "ADD", f"({u})a + ({u})b")
    rows.binary(op + "SUB", f"({u})a - ({u})b")
    rows.unary(op + "NEG", f"-({u})a")
    rows.unary(op + "ABS", _each(u, f"{_lane(i, 'a')} < 0 ? -{_lane(u, 'a')} : {_lane(u, 'a')}"))
    rows.unary(op + "ALL_TRUE", f"EE_ALL_TRUE({u}, {LANES[bits]}, a)", "i")
    rows.unary(op + "BITMASK", f"EE_BITMASK({i}, {LANES[bits]}, a)", "i")
    rows.shift(op + "SHL", bits, _each(u, f"{_lane(u, 'a')} << m"))
    rows.shift(op + "SHR_S", bits, _each(i, f"{_lane(i, 'a')} >> m"))
    rows.shift(op + "SHR_U", bits, _each(u, f"{_lane(u, 'a')} >> m"))
    for name, c in COMPARE.items():
        if name in {"EQ", "NE"}:
            rows.binary(op + name, f"({u})a {c} ({u})b")
        else:
            rows.binary(f"{op}{name}_S", f"({i})a {c} ({i})b")
            if bits != "64":
                rows.binary(f"{op}{name}_U", f"({u})a {c} ({u})b")
    if bits != "8":
        rows.binary(op + "MUL", f"({u})a * ({u})b")
    if bits != "64":
        for sign, kind in (("S", i), ("U", u)):
            a, b = _lane(kind, "a"), _lane(kind, "b")
            rows.binary(f"{op}MIN_{sign}", _each(kind, f"{a} < {b} ? {a} : {b}"))
            rows.binary(f"{op}MAX_{sign}", _each(kind, f"{a} > {b} ? {a} : {b}"))


def _range(bits: str, sign: str) -> str:
    """Least and greatest value of a lane, as macro arguments."""
    return f"INT{bits}_MIN, INT{bits}_MAX" if sign == "S" else f"0, UINT{bits}_MAX"


def _saturating(rows: _Rows) -> None:
    for bits in ("8", "16"):
        op = f"I{bits}X{LANES[bits]}_"
        for sign in "SU":
            kind = _type(bits, {"S": "i", "U": "u"}[sign])
            a, b = f"(int32_t){_lane(kind, 'a')}", f"(int32_t){_lane(kind, 'b')}"
            rows.binary(f"{op}ADD_SAT_{sign}", _each(kind, f"EE_CLAMP({a} + {b}, {_range(bits, sign)})"))
            rows.binary(f"{op}SUB_SAT_{sign}", _each(kind, f"EE_CLAMP({a} - {b}, {_range(bits, sign)})"))
        u = _type(bits, "u")
        rows.binary(f"{op}AVGR_U", _each(u, f"({_lane(u, 'a')} + {_lane(u, 'b')} + 1) >> 1"))
        wide = _type(str(2 * int(bits)), "i")
        half = LANES[bits] // 2
        for sign in "SU":
            value = f"n < {half} ? {_lane(wide, 'a', f'n & {half - 1}')} : {_lane(wide, 'b', f'n & {half - 1}')}"
            target = _type(bits, {"S": "i", "U": "u"}[sign])
            name = f"{op}NARROW_I{2 * int(bits)}X{half}_{sign}"
            rows.binary(name, _each(target, f"EE_CLAMP(({value}), {_range(bits, sign)})"))
    rows.unary("I8X16_POPCNT", _each("ee_u8x16", f"ee_popcnt32({_lane('ee_u8x16', 'a')})"))
    a, b = _lane("ee_i16x8", "a"), _lane("ee_i16x8", "b")
    rows.binary("I16X8_Q15MULR_SAT_S", _each("ee_i16x8", f"EE_CLAMP(({a} * {b} + 0x4000) >> 15, INT16_MIN, INT16_MAX)"))
    terms = (
        f"(uint32_t)({_lane('ee_i16x8', 'a', at)} * {_lane('ee_i16x8', 'b', at)})" for at in ("2 * n", "2 * n + 1")
    )
    rows.binary("I32X4_DOT_I16X8_S", _each("ee_u32x4", " + ".join(terms)))


def _widening(rows: _Rows) -> None:
    for bits in ("16", "32", "64"):
        narrow = str(int(bits) // 2)
        op, suffix, lanes = f"I{bits}X{LANES[bits]}_", f"I{narrow}X{LANES[narrow]}", LANES[bits]
        for sign, letter in (("S", "i"), ("U", "u")):
            wide, source = _type(bits, letter), _type(narrow, letter)
            for half, offset in (("LOW", 0), ("HIGH", lanes)):
                a, b = _lane(source, "a", f"n + {offset}"), _lane(source, "b", f"n + {offset}")
                rows.unary(f"{op}EXTEND_{half}_{suffix}_{sign}", _each(wide, a))
                # Modulo 2^32 or 2^64: a product of small unsigned lanes may overflow the int that C promotes them to.
                modulo = "uint64_t" if bits == "64" else "uint32_t"
                product = f"({modulo}){a} * ({modulo}){b}"
                rows.binary(f"{op}EXTMUL_{half}_{suffix}_{sign}", _each(wide, product))
            if bits != "64":
                pair = f"{_lane(source, 'a', '2 * n')} + {_lane(source, 'a', '2 * n + 1')}"
                rows.unary(f"{op}EXTADD_PAIRWISE_{suffix}_{sign}", _each(wide, pair))


def _floats(rows: _Rows) -> None:
    for bits, root in (("32", "__builtin_sqrtf"), ("64", "__builtin_sqrt")):
        op, kind = f"F{bits}X{LANES[bits]}_", _type(bits, "f")
        a, b = _lane(kind, "a"), _lane(kind, "b")
        for name, c in (("ADD", "+"), ("SUB", "-"), ("MUL", "*"), ("DIV", "/")):
            rows.binary(op + name, f"({kind})a {c} ({kind})b")
        for name, c in COMPARE.items():
            rows.binary(op + name, f"({kind})a {c} ({kind})b")
        for name in ("MIN", "MAX"):
            rows.binary(op + name, _each(kind, f"ee_{name.lower()}{bits}({a}, {b})"))
        rows.binary(op + "PMIN", _each(kind, f"{b} < {a} ? {b} : {a}"))
        rows.binary(op + "PMAX", _each(kind, f"{a} < {b} ? {b} : {a}"))
        for name in ("ABS", "NEG", "CEIL", "FLOOR", "TRUNC", "NEAREST"):
            rows.unary(op + name, _each(kind, f"ee_{name.lower()}{bits}({a})"))
        rows.unary(op + "SQRT", _each(kind, f"{root}({a})"))


def _conversions(rows: _Rows) -> None:
    for sign, letter, prefix in (("S", "I", ""), ("U", "U", "u")):
        low, high = ("INT32_MIN", "INT32_MAX") if sign == "S" else ("0", "UINT32_MAX")
        source = _type("32", letter.lower())
        for bits, suffix in (("32", f"F32X4_{sign}"), ("64", f"F64X2_{sign}_ZERO")):
            lane = _lane(f"ee_f{bits}x{LANES[bits]}", "a", f"n & {LANES[bits] - 1}")
            value = f"EE_SATURATE(EE_FITS_{letter}32_F{bits}({lane}), {lane}, {prefix}int32_t, {low}, {high})"
            if bits == "64":
                value = f"n < 2 ? {value} : 0"
            rows.unary(f"I32X4_TRUNC_SAT_{suffix}", _each(source, value))
        rows.unary(f"F32X4_CONVERT_I32X4_{sign}", _each("ee_f32x4", _lane(source, "a")))
        rows.unary(f"F64X2_CONVERT_LOW_I32X4_{sign}", _each("ee_f64x2", _lane(source, "a")))
    rows.unary("F32X4_DEMOTE_F64X2_ZERO", _each("ee_f32x4", "n < 2 ? (float)a[n & 1] : 0.0f"))
    rows.unary("F64X2_PROMOTE_LOW_F32X4", _each("ee_f64x2", _lane("ee_f32x4", "a")))


def _bitwise(rows: _Rows) -> None:
    u = "ee_u64x2"
    rows.unary("V128_NOT", f"~({u})a")
    rows.binary("V128_AND", f"({u})a & ({u})b")
    rows.binary("V128_ANDNOT", f"({u})a & ~({u})b")
    rows.binary("V128_OR", f"({u})a | ({u})b")
    rows.binary("V128_XOR", f"({u})a ^ ({u})b")
    rows.unary("V128_ANY_TRUE", f"({_lane(u, 'a', '0')} | {_lane(u, 'a', '1')}) != 0", "i")
    body = f"{u} a = ({u})SV({{0}}), b = ({u})SV({{1}}), c = ({u})SV({{2}}); {_SET['v'] % '(a & c) | (b & ~c)'}"
    rows.add("V128_BITSELECT", "TERNARY", [VectorForm("v128_bitselect", "sss", body)])


def _lanes(rows: _Rows) -> None:
    for name, kind, bits, letter in (
        ("I8X16", "i", "8", "u"),
        ("I16X8", "i", "16", "u"),
        ("I32X4", "i", "32", "u"),
        ("I64X2", "I", "64", "u"),
        ("F32X4", "f", "32", "f"),
        ("F64X2", "F", "64", "f"),
    ):
        vector = _type(bits, letter)
        rows.splat(f"{name}_SPLAT", kind, _each(vector, "x"))
        index = f"lane & {LANES[bits] - 1}"
        if bits in {"8", "16"}:
            rows.extract(f"{name}_EXTRACT_LANE_S", "i", f"(int32_t){_lane(_type(bits, 'i'), 'a', index)}")
            rows.extract(f"{name}_EXTRACT_LANE_U", "i", _lane(vector, "a", index))
        else:
            rows.extract(f"{name}_EXTRACT_LANE", kind, _lane(vector, "a", index))
        rows.replace(f"{name}_REPLACE_LANE", kind, vector)
    a, b = _lane("ee_u8x16", "a", "at & 15"), _lane("ee_u8x16", "b", "at & 15")
    rows.binary(
        "I8X16_SWIZZLE",
        _each("ee_u8x16", f"{_lane('ee_u8x16', 'b')} < 16 ? {_lane('ee_u8x16', 'a', '((ee_u8x16)b)[n] & 15')} : 0"),
    )
    pick = _each("ee_u8x16", f"EE_PICK(pc[{{2}} + n], {a}, {b})")
    body = f"ee_f64x2 a = SV({{0}}), b = SV({{1}}); {_SET['v'] % pick}"
    rows.add("I8X16_SHUFFLE", "SHUFFLE", [VectorForm("i8x16_shuffle", "ssqq", body)])


def _memory(rows: _Rows) -> None:
    rows.load("V128_LOAD", "ee_vecu", "v")
    rows.store("V128_STORE")
    for narrow, wide in (("8", "16"), ("16", "32"), ("32", "64")):
        for sign, letter in (("S", "i"), ("U", "u")):
            lanes = _lane(_type(narrow, letter), "EE_LOW(v)")
            rows.load(f"V128_LOAD{narrow}X{LANES[wide]}_{sign}", "ee_u64u", _each(_type(wide, letter), lanes))
    for bits in LANES:
        access = "uint8_t" if bits == "8" else f"ee_u{bits}u"
        rows.load(f"V128_LOAD{bits}_SPLAT", access, _each(_type(bits, "u"), "v"))
        rows.lane(bits)
    rows.load("V128_LOAD32_ZERO", "ee_u32u", "EE_LOW(v)")
    rows.load("V128_LOAD64_ZERO", "ee_u64u", "EE_LOW(v)")


def vector_forms() -> tuple[tuple[VectorForm, ...], tuple[VectorShape, ...]]:
    """Every operation on vectors, and which instruction has which."""
    rows = _Rows()
    for bits in LANES:
        _integer_shape(rows, bits)
    for part in (_saturating, _widening, _floats, _conversions, _bitwise, _lanes, _memory):
        part(rows)
    return tuple(rows.forms), tuple(rows.shapes)
