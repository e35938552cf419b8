/* SPDX-License-Identifier: Apache-2.0 */
/* See run.h. */
#include "run.h"

#include <string.h>

#include "files.h"
#include "text.h"

static void measure(struct sb_run *run)
{
    if (run->instance != NULL) {
        ee_instance_usage(run->instance, &run->usage);
    }
}

/* "<kind>: <text> (at 0x1a2b, function 12)" */
static void refused(struct sb_run *run, enum ee_status status, const struct ee_error *error)
{
    struct sb_text text = sb_text_start(run->text, sizeof run->text);
    bool import = status == EE_UNLINKABLE && run->imports.refusal[0] != 0;
    run->state = SB_ENGINE_REFUSED;
    sb_text_string(&text, ee_status_text(status));
    sb_text_string(&text, ": ");
    sb_text_string(&text, import ? run->imports.refusal : error->text);
    const char *join = " (";
    if (error->offset != EE_NO_INDEX) {
        sb_text_string(&text, join);
        sb_text_string(&text, "at ");
        sb_text_hex(&text, error->offset);
        join = ", ";
    }
    if (error->function != EE_NO_INDEX) {
        sb_text_string(&text, join);
        sb_text_string(&text, "function ");
        sb_text_decimal(&text, error->function);
        join = ", ";
    }
    if (join[0] == ',') {
        sb_text_char(&text, ')');
    }
}

static void trapped(struct sb_run *run, enum ee_trap trap)
{
    run->trap = trap;
    if (trap == EE_TRAP_EXIT) {
        run->state = SB_ENGINE_EXITED;
        run->exit_code = run->bridge->exit_code;
        return;
    }
    run->state = SB_ENGINE_TRAPPED;
    struct sb_text text = sb_text_start(run->text, sizeof run->text);
    sb_text_string(&text, ee_trap_text(trap));
    (void)ee_backtrace(run->instance, run->backtrace, sizeof run->backtrace);
}

static void execute(struct sb_run *run)
{
    struct ee_error error;
    memset(&error, 0, sizeof error);
    error.offset = error.function = EE_NO_INDEX;
    struct ee_config config = {
        .arena = run->arena,
        .arena_size = run->arena_size,
        .stack_size = run->stack_size,
        .metered = run->metered,
        .fuel = run->fuel,
        .resolver = sb_imports_resolve,
        .resolver_context = &run->imports,
    };
    struct ee_instance *instance = NULL;
    enum ee_status status = ee_load(run->module, run->module_size, &config, &instance, &error);
    if (status != EE_OK) {
        refused(run, status, &error);
        return;
    }
    run->instance = instance;
    uint32_t start = ee_export(instance, EE_EXTERN_FUNC, "_start", 6);
    if (start == EE_NO_INDEX) {
        memcpy(error.text, "the module exports no function _start", sizeof "the module exports no function _start");
        refused(run, EE_UNLINKABLE, &error);
        return;
    }
    struct sb_text why = sb_text_start(error.text, sizeof error.text);
    if (!sb_files_install(run->bridge, run->module, run->module_size, &why)) {
        refused(run, EE_UNLINKABLE, &error);
        return;
    }
    status = run->start(instance, &error);
    if (status == EE_OK) {
        status = run->call(instance, start, NULL, 0, NULL, 0);
    }
    if (status == EE_OK) {
        run->state = SB_ENGINE_EXITED;
    } else if (status == EE_TRAPPED) {
        trapped(run, ee_instance_trap(instance));
    } else {
        memcpy(error.text, "_start has parameters or results", sizeof "_start has parameters or results");
        error.offset = error.function = EE_NO_INDEX;
        refused(run, EE_UNLINKABLE, &error);
    }
}

void sb_run(struct sb_run *run)
{
    run->instance = NULL;
    run->state = SB_ENGINE_RUNNING;
    run->exit_code = 0;
    run->trap = EE_TRAP_NONE;
    memset(&run->usage, 0, sizeof run->usage);
    run->tier = SB_TIER_UNKNOWN;
    run->text[0] = run->tier_text[0] = run->backtrace[0] = run->imports.refusal[0] = 0;
    run->imports.bridge = run->bridge;
    run->bridge->calls = 0;
    run->bridge->exit_code = 0;
    execute(run);
    measure(run);
}

void sb_run_fault(struct sb_run *run, uint64_t address, const uint64_t regs[8])
{
    if (run->instance == NULL) {
        sb_run_broken(run, "the engine faulted while it loaded the module, at address ", address);
        return;
    }
    ee_fault(run->instance, address, regs);
    trapped(run, ee_instance_trap(run->instance));
    measure(run);
}

void sb_run_native_fault(struct sb_run *run, uint64_t pc, uint64_t frame, enum ee_trap trap, uint64_t address)
{
    ee_native_fault(run->instance, pc, frame, trap, address);
    trapped(run, ee_instance_trap(run->instance));
    if (run->trap == EE_TRAP_HOST) {
        struct sb_text text = sb_text_start(run->text, sizeof run->text);
        sb_text_string(&text, ee_trap_text(EE_TRAP_HOST));
        sb_text_string(&text, ": native code reached for address ");
        sb_text_hex(&text, address);
    }
    measure(run);
}

void sb_run_attach(struct sb_run *run, struct ee_instance *instance, const void *code, size_t size, size_t stack_bytes)
{
    const uint8_t *bytes;
    size_t found;
    struct ee_error why = {0};
    run->tier = SB_TIER_INTERPRETER;
    if (size == 0) {
        return;
    }
    struct sb_text text = sb_text_start(run->tier_text, sizeof run->tier_text);
    if (!ee_native_section(instance, &bytes, &found) || found != size) {
        sb_text_string(&text, "the engine finds other native code than the supervisor");
    } else if (ee_native_attach(instance, code, stack_bytes, &why) != EE_OK) {
        sb_text_string(&text, why.text);
    } else {
        run->tier = SB_TIER_NATIVE;
    }
}

void sb_run_broken(struct sb_run *run, const char *what, uint64_t where)
{
    run->state = SB_ENGINE_TRAPPED;
    run->trap = EE_TRAP_HOST;
    run->backtrace[0] = 0;
    struct sb_text text = sb_text_start(run->text, sizeof run->text);
    sb_text_string(&text, ee_trap_text(EE_TRAP_HOST));
    sb_text_string(&text, ": ");
    sb_text_string(&text, what);
    sb_text_hex(&text, where);
}
