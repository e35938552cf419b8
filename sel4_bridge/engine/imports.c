/* SPDX-License-Identifier: Apache-2.0 */
/* See imports.h. */
#include "imports.h"

#include <string.h>

#include "sb_wasi_calls.h"
#include "text.h"

static const struct {
    const char *name;
    bool unstable;
} modules[] = {
#define SB_X(name, unstable) {name, unstable},
    SB_WASI_MODULES(SB_X)
#undef SB_X
};

static bool same(const struct ee_name *name, const char *wanted)
{
    return strlen(wanted) == name->size && memcmp(name->bytes, wanted, name->size) == 0;
}

/* The wasm type of a letter in a row's signature. */
static uint8_t valtype(char letter)
{
    return letter == 'I' ? EE_I64 : EE_I32;
}

static bool same_types(const char *letters, size_t size, const uint8_t *types, uint32_t count)
{
    if (size != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (valtype(letters[i]) != types[i]) {
            return false;
        }
    }
    return true;
}

static void say_type(struct sb_text *text, uint8_t type)
{
    switch (type) {
    case EE_I32:
        sb_text_string(text, "i32");
        break;
    case EE_I64:
        sb_text_string(text, "i64");
        break;
    case EE_F32:
        sb_text_string(text, "f32");
        break;
    case EE_F64:
        sb_text_string(text, "f64");
        break;
    case EE_V128:
        sb_text_string(text, "v128");
        break;
    case EE_FUNCREF:
        sb_text_string(text, "funcref");
        break;
    default:
        sb_text_string(text, "externref");
        break;
    }
}

static void say_types(struct sb_text *text, const uint8_t *types, uint32_t count)
{
    sb_text_char(text, '(');
    for (uint32_t i = 0; i < count && text->used + 1 < text->size; i++) {
        if (i > 0) {
            sb_text_char(text, ' ');
        }
        say_type(text, types[i]);
    }
    sb_text_char(text, ')');
}

static void say_letters(struct sb_text *text, const char *letters, size_t count)
{
    uint8_t types[16];
    for (size_t i = 0; i < count; i++) {
        types[i] = valtype(letters[i]);
    }
    say_types(text, types, (uint32_t)count); /* the table has no call of more than 9 parameters */
}

static struct sb_text start_refusal(struct sb_imports *imports, const struct ee_import_request *request)
{
    struct sb_text text = sb_text_start(imports->refusal, sizeof imports->refusal);
    sb_text_string(&text, "import ");
    sb_text_name(&text, request->module.bytes, request->module.size);
    sb_text_char(&text, '.');
    sb_text_name(&text, request->field.bytes, request->field.size);
    return text;
}

static bool refuse(struct sb_imports *imports, const struct ee_import_request *request, const char *why)
{
    struct sb_text text = start_refusal(imports, request);
    sb_text_string(&text, why);
    return false;
}

static bool link_row(struct sb_imports *imports, const struct ee_import_request *request,
                     const struct sb_wasi_row *row, struct ee_import *import)
{
    if (request->kind != EE_EXTERN_FUNC) {
        return refuse(imports, request, " is a function, not what the module takes it for");
    }
    size_t params = 0;
    while (row->signature[params] != ':') {
        params++;
    }
    const char *results = row->signature + params + 1;
    if (!same_types(row->signature, params, request->params, request->param_count) ||
        !same_types(results, strlen(results), request->results, request->result_count)) {
        struct sb_text text = start_refusal(imports, request);
        sb_text_string(&text, " has type ");
        say_letters(&text, row->signature, params);
        sb_text_string(&text, " -> ");
        say_letters(&text, results, strlen(results));
        sb_text_string(&text, ", the module expects ");
        say_types(&text, request->params, request->param_count);
        sb_text_string(&text, " -> ");
        say_types(&text, request->results, request->result_count);
        return false;
    }
    *import = (struct ee_import){.function = row->stub, .context = imports->bridge};
    return true;
}

bool sb_imports_resolve(void *context, const struct ee_import_request *request, struct ee_import *import)
{
    struct sb_imports *imports = context;
    for (size_t m = 0; m < sizeof modules / sizeof modules[0]; m++) {
        if (!same(&request->module, modules[m].name)) {
            continue;
        }
        for (uint32_t row = 0; row < SB_WASI_CALLS; row++) {
            if (!same(&request->field, sb_wasi_rows[row].name)) {
                continue;
            }
            if (modules[m].unstable && !sb_wasi_rows[row].unstable) {
                return refuse(imports, request, " is not provided in wasi_unstable, where it means something else or does not exist");
            }
            return link_row(imports, request, &sb_wasi_rows[row], import);
        }
        return refuse(imports, request, " is not a WASI call");
    }
    return refuse(imports, request, " is unknown: this device provides WASI preview1 only");
}
