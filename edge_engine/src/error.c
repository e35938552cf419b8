/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in struct ee_error, and the texts of status and trap codes; contract in error.h. */
#include "compact.h"
#include "error.h"

EE_COMPACT

/* Nothing here is fast or often used; copies of it in each caller would only be large. */
#define EE_ONCE __attribute__((noinline))

static EE_ONCE size_t length(const struct ee_error *error)
{
    size_t n = 0;
    while (n < sizeof error->text - 1 && error->text[n] != '\0')
        n++;
    return n;
}

static EE_ONCE void put(struct ee_error *error, const char *bytes, size_t size)
{
    if (error == NULL)
        return;
    size_t at = length(error);
    for (size_t i = 0; i < size && at < sizeof error->text - 1; i++)
        error->text[at++] = bytes[i];
    error->text[at] = '\0';
}

EE_ONCE void ee_error_begin(struct ee_error *error, enum ee_status status, uint32_t offset, uint32_t function)
{
    if (error == NULL)
        return;
    error->status = status;
    error->offset = offset;
    error->function = function;
    error->text[0] = '\0';
}

EE_ONCE void ee_error_text(struct ee_error *error, const char *text)
{
    size_t n = 0;
    while (text[n] != '\0')
        n++;
    put(error, text, n);
}

static EE_ONCE void put_in_base(struct ee_error *error, uint64_t number, uint32_t base)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    put(error, digits + at, sizeof digits - at);
}

void ee_error_number(struct ee_error *error, uint64_t number) { put_in_base(error, number, 10); }

void ee_error_hex(struct ee_error *error, uint64_t number)
{
    put(error, "0x", 2);
    put_in_base(error, number, 16);
}

void ee_error_name(struct ee_error *error, const void *bytes, size_t size)
{
    const unsigned char *p = bytes;
    enum { SHOWN = 48 }; /* bytes of a name; two of them and the words around fit in the text */
    put(error, "\"", 1);
    for (size_t i = 0; i < size && i < SHOWN; i++) {
        char c = p[i] < 0x20 || p[i] == 0x7f || p[i] >= 0x80 ? '?' : (char)p[i];
        put(error, &c, 1);
    }
    if (size > SHOWN)
        put(error, "...", 3);
    put(error, "\"", 1);
}

enum ee_status ee_fail(struct ee_error *error, enum ee_status status, uint32_t offset, uint32_t function,
                       const char *text)
{
    ee_error_begin(error, status, offset, function);
    ee_error_text(error, text);
    return status;
}

enum ee_status ee_unknown(struct ee_error *error, const char *what, uint32_t index, uint32_t count)
{
    ee_error_text(error, "unknown ");
    ee_error_text(error, what);
    ee_error_text(error, ": expected an index below ");
    ee_error_number(error, count);
    ee_error_text(error, ", found ");
    ee_error_number(error, index);
    return EE_INVALID;
}

enum ee_status ee_fail_memory(struct ee_error *error, const struct ee_arena *arena, const char *what)
{
    ee_error_begin(error, EE_NO_MEMORY, EE_NO_INDEX, EE_NO_INDEX);
    ee_error_text(error, "arena too small for ");
    ee_error_text(error, what);
    ee_error_text(error, ": ");
    ee_error_number(error, arena->wanted);
    ee_error_text(error, " bytes needed, ");
    ee_error_number(error, arena->limit);
    ee_error_text(error, " given");
    return EE_NO_MEMORY;
}

const char *ee_valtype_text(uint8_t type)
{
    switch (type) {
    case EE_I32: return "i32";
    case EE_I64: return "i64";
    case EE_F32: return "f32";
    case EE_F64: return "f64";
    case EE_V128: return "v128";
    case EE_FUNCREF: return "funcref";
    case EE_EXTERNREF: return "externref";
    default: return "?";
    }
}

const char *ee_status_text(enum ee_status status)
{
    switch (status) {
    case EE_OK: return "ok";
    case EE_MALFORMED: return "malformed module";
    case EE_INVALID: return "invalid module";
    case EE_UNSUPPORTED: return "unsupported";
    case EE_UNLINKABLE: return "unlinkable module";
    case EE_NO_MEMORY: return "out of arena";
    case EE_TRAPPED: return "trapped";
    case EE_MISUSE: return "misuse";
    }
    return "unknown status";
}

const char *ee_trap_text(enum ee_trap trap)
{
    static const char *const texts[] = {
#define EE_X(name, text) [EE_TRAP_##name] = text,
        EE_TRAPS(EE_X)
#undef EE_X
    };
    return (size_t)trap < sizeof texts / sizeof *texts ? texts[trap] : "unknown trap";
}

EE_COMPACT_END
