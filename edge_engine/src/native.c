/* SPDX-License-Identifier: Apache-2.0 */
/* Native code of a module: finding and attaching it, entering it, and what it calls. Contract in native.h. */
#include "compact.h"
#include "native.h"

#include "error.h"
#include "reader.h"

EE_COMPACT

/* Ends execution in native code; whoever owns the address space turns it into the trap. */
_Noreturn static void raise_from(struct ee_instance *in, enum ee_trap trap, const void *frame)
{
    in->trap = trap;
    in->native_frame = (uint64_t)(uintptr_t)frame;
#if defined(__x86_64__)
    __asm__ volatile("ud1l %c1(%%eax), %%eax" : : "D"(in), "i"(EE_NATIVE_PENDING) : "memory");
#else
    register struct ee_instance *x0 __asm__("x0") = in;
    __asm__ volatile("udf #%c1" : : "r"(x0), "i"(EE_NATIVE_PENDING) : "memory");
#endif
    __builtin_unreachable();
}

/* In what native code calls directly: its frame tells who called. */
#define raise(in, trap) raise_from((in), (trap), __builtin_frame_address(0))
#define check(in, trap_)                                        \
    do {                                                        \
        enum ee_trap checked_ = (trap_);                        \
        if (__builtin_expect(checked_ != EE_TRAP_NONE, 0))      \
            raise((in), checked_);                              \
    } while (0)

enum ee_trap ee_native_trap_at(const struct ee_instance *in, const void *pc)
{
    const uint8_t *at = pc;
    uint32_t code = 0;
#if defined(__x86_64__)
    static const uint8_t ud1[4] = {0x67, 0x0f, 0xb9, 0x40};
    if (memcmp(at, ud1, sizeof ud1) == 0)
        code = at[4];
#else
    uint32_t word;
    memcpy(&word, at, 4);
    if (word >> 16 == 0)
        code = word;
#endif
    if (code == EE_NATIVE_PENDING)
        return in->trap;
    return code > EE_TRAP_NONE && code <= EE_TRAP_HOST ? (enum ee_trap)code : EE_TRAP_NONE;
}

static void call(struct ee_instance *in, uint32_t function, uint64_t *slots)
{
    in->native_call = __builtin_frame_address(0);
    check(in, ee_invoke(in, in, function, slots, slots));
}

static void call_indirect(struct ee_instance *in, uint32_t at, uint32_t type, uint32_t table_index, uint64_t *slots)
{
    const struct ee_table_cell *table = in->tables[table_index];
    if (at >= table->size)
        raise(in, EE_TRAP_UNDEFINED_ELEMENT);
    struct ee_func *f = (struct ee_func *)(uintptr_t)table->elements[at];
    if (f == NULL)
        raise(in, EE_TRAP_UNINITIALIZED_ELEMENT);
    struct ee_instance *owner = f->owner;
    if (owner == in ? f->type != type
                    : !ee_functype_equal(in->module, &in->module->types[type], owner->module,
                                         ee_function_type(owner->module, ee_func_index(f))))
        raise(in, EE_TRAP_INDIRECT_TYPE);
    in->native_call = __builtin_frame_address(0);
    check(in, ee_invoke(owner, in, ee_func_index(f), slots, slots));
}

static void memory_copy(struct ee_instance *in, const uint64_t *operands) { check(in, ee_memory_copy(in, operands)); }
static void memory_fill(struct ee_instance *in, const uint64_t *operands) { check(in, ee_memory_fill(in, operands)); }

static void memory_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment)
{
    check(in, ee_memory_init(in, operands, segment));
}

static void data_drop(struct ee_instance *in, uint32_t segment) { in->data_dropped[segment] = 1; }

static void table_get(struct ee_instance *in, uint64_t *operands, uint32_t table)
{
    check(in, ee_table_get(in, operands, table));
}

static void table_set(struct ee_instance *in, const uint64_t *operands, uint32_t table)
{
    check(in, ee_table_set(in, operands, table));
}

static void table_fill(struct ee_instance *in, const uint64_t *operands, uint32_t table)
{
    check(in, ee_table_fill(in, operands, table));
}

static void table_copy(struct ee_instance *in, const uint64_t *operands, uint32_t to, uint32_t from)
{
    check(in, ee_table_copy(in, operands, to, from));
}

static void table_init(struct ee_instance *in, const uint64_t *operands, uint32_t segment, uint32_t table)
{
    check(in, ee_table_init(in, operands, segment, table));
}

static void elem_drop(struct ee_instance *in, uint32_t segment) { in->element_dropped[segment] = 1; }

static uint64_t ref_func(struct ee_instance *in, uint32_t function)
{
    return (uint64_t)(uintptr_t)ee_reference(in, function);
}

static const struct ee_native_helpers helpers = {
    .call = call,
    .call_indirect = call_indirect,
    .memory_grow = ee_memory_grow,
    .memory_copy = memory_copy,
    .memory_fill = memory_fill,
    .memory_init = memory_init,
    .data_drop = data_drop,
    .table_get = table_get,
    .table_set = table_set,
    .table_grow = ee_table_grow,
    .table_fill = table_fill,
    .table_copy = table_copy,
    .table_init = table_init,
    .elem_drop = elem_drop,
    .ref_func = ref_func,
};

static struct ee_native_entry entry_at(const struct ee_instance *in, uint32_t function)
{
    struct ee_native_entry entry;
    memcpy(&entry, in->native_entries + (size_t)function * sizeof entry, sizeof entry);
    return entry;
}

void ee_native_enter(struct ee_instance *in, const struct ee_func *function, uint64_t *slots, const uint8_t *back,
                     uint8_t *fp)
{
    typedef void (*trampoline)(struct ee_instance *, const void *, uint64_t *);
    const uint8_t *limit = in->native_limit;
    struct ee_crossing crossing = {in->crossing, back, fp};
    in->crossing = &crossing;
    if (limit == NULL)
        in->native_limit = (const uint8_t *)__builtin_frame_address(0) - in->native_stack;
    int32_t at = entry_at(in, ee_func_index(function)).trampoline;
    ((trampoline)(uintptr_t)(in->native_code + at))(in, function->native, slots);
    in->native_limit = limit;
    in->crossing = crossing.outer;
}

#if defined(__x86_64__)
#define SECTION "wasel.native.x86_64"
#else
#define SECTION "wasel.native.aarch64"
#endif

/* Contents of the first custom section of that name, behind the name. */
static bool find(const struct ee_module *module, const uint8_t **contents, uint32_t *size)
{
    struct ee_reader r = {.p = module->bytes + 8, .end = module->bytes + module->size};
    while (r.p < r.end) {
        uint8_t id = *r.p++;
        uint32_t length, name;
        if (!ee_read_u32(&r, &length) || length > (size_t)(r.end - r.p))
            return false;
        struct ee_reader section = {.p = r.p, .end = r.p + length};
        r.p += length;
        if (id == 0 && ee_read_u32(&section, &name) && name == sizeof SECTION - 1 &&
            name <= (size_t)(section.end - section.p) && memcmp(section.p, SECTION, name) == 0) {
            *contents = section.p + name;
            *size = (uint32_t)(section.end - section.p) - name;
            return true;
        }
    }
    return false;
}

/* Bounds of the section itself; entries are checked when they are attached. */
static bool read_header(const uint8_t *contents, uint32_t size, struct ee_native_header *header)
{
    if (size < sizeof *header)
        return false;
    memcpy(header, contents, sizeof *header);
    uint64_t entries = (uint64_t)header->function_count * sizeof(struct ee_native_entry);
    return header->magic == EE_NATIVE_MAGIC && header->entry_offset >= sizeof *header &&
           header->entry_offset + entries <= size && (uint64_t)header->code_offset + header->code_size <= size &&
           header->code_size <= INT32_MAX && header->code_size != 0;
}

bool ee_native_section(const struct ee_instance *in, const uint8_t **code, size_t *size)
{
    const uint8_t *contents;
    uint32_t length;
    struct ee_native_header header;
    if (!find(in->module, &contents, &length) || !read_header(contents, length, &header))
        return false;
    *code = contents + header.code_offset;
    *size = header.code_size;
    return true;
}

static bool is_inside(const struct ee_native_header *header, int32_t offset)
{
    return offset == EE_NATIVE_NONE || (offset >= 0 && (uint32_t)offset < header->code_size && offset % 4 == 0);
}

enum ee_status ee_native_attach(struct ee_instance *in, const void *code, size_t stack_bytes, struct ee_error *error)
{
    const uint8_t *contents;
    uint32_t length;
    struct ee_native_header header;
    const struct ee_module *m = in->module;
    if (!find(m, &contents, &length) || !read_header(contents, length, &header))
        return ee_fail(error, EE_MALFORMED, EE_NO_INDEX, EE_NO_INDEX, "the native section is malformed");
    if (header.version != EE_NATIVE_VERSION || header.target != EE_NATIVE_TARGET || header.abi != EE_NATIVE_ABI)
        return ee_fail(error, EE_UNSUPPORTED, EE_NO_INDEX, EE_NO_INDEX, "native code was made for another engine");
    if (header.function_count != m->function_count)
        return ee_fail(error, EE_MALFORMED, EE_NO_INDEX, EE_NO_INDEX, "native code was made for another module");
    if (in->metered && (header.flags & EE_NATIVE_FUEL) == 0)
        return ee_fail(error, EE_UNSUPPORTED, EE_NO_INDEX, EE_NO_INDEX, "native code does not count fuel");
    in->native_entries = contents + header.entry_offset;
    for (uint32_t i = 0; i < m->function_count; i++) {
        struct ee_native_entry entry = entry_at(in, i);
        if (!is_inside(&header, entry.body) || !is_inside(&header, entry.trampoline) ||
            (entry.body == EE_NATIVE_NONE) != (entry.trampoline == EE_NATIVE_NONE) ||
            (ee_is_imported(in, i) && entry.body != EE_NATIVE_NONE))
            return ee_fail(error, EE_MALFORMED, EE_NO_INDEX, i, "an entry of the native section is out of bounds");
    }
    for (uint32_t i = m->imported_functions; i < m->function_count; i++) {
        struct ee_native_entry entry = entry_at(in, i);
        if (entry.body != EE_NATIVE_NONE)
            in->functions[i].native = (const uint8_t *)code + entry.body;
    }
    in->native_code = code;
    in->native_size = header.code_size;
    in->native_stack = stack_bytes;
    in->helpers = &helpers;
    return EE_OK;
}

/* The last that begins before the address. */
uint32_t ee_native_function(const struct ee_instance *in, uint64_t pc)
{
    uint64_t offset = pc - (uint64_t)(uintptr_t)in->native_code;
    uint32_t best = EE_NO_INDEX;
    int32_t best_at = -1;
    if (in->native_code == NULL || offset >= in->native_size)
        return best;
    for (uint32_t i = in->module->imported_functions; i < in->module->function_count; i++) {
        int32_t at = entry_at(in, i).body;
        if (at > best_at && (uint64_t)at <= offset) {
            best = i;
            best_at = at;
        }
    }
    return best;
}

void ee_native_fault(struct ee_instance *in, uint64_t pc, uint64_t frame, enum ee_trap trap, uint64_t address)
{
    in->trace_depth = 0;
    if (in->native_limit != NULL && pc - (uint64_t)(uintptr_t)in->native_code < in->native_size) {
        ee_trace(in, NULL, NULL, pc, frame);
    } else if (in->native_limit != NULL && in->native_frame != 0) { /* raised by the engine, in a helper's frame */
        uint64_t next[2];
        uint64_t top = (uint64_t)(uintptr_t)in->native_limit + in->native_stack;
        frame = in->native_frame;
        if (frame % 8 == 0 && frame < top && top - frame <= in->native_stack) {
            memcpy(next, (const void *)(uintptr_t)frame, sizeof next);
            ee_trace(in, in->trap_pc, in->trap_fp, next[1] - 1, next[0]);
        }
    }
    in->native_frame = 0; /* of this trap only */
    uint32_t depth = in->trace_depth;
    ee_unwind(in, trap != EE_TRAP_NONE ? trap : ee_fault_trap(in, address));
    in->trace_depth = depth;
}

EE_COMPACT_END
