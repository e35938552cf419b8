/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A test build of the engine's domain that turns against its neighbours: linked with --wrap=sb_run, it runs modules as
 * ever, but a "module" of "HOSTILE\0", a seed and a count (8 bytes each) makes it send that many random messages with
 * random bytes in the shared buffer, and scribble over what it shares with the supervisor. Exit code: how many answers
 * were none of the protocol's.
 */
#include <microkit.h>
#include <string.h>

#include "run.h"
#include "sb_layout.h"
#include "sb_wasi_calls.h"

enum { HEADER = 24, MOST_WORDS = 120 };
enum { MOST_SIGNALS = 32 }; /* the supervisor gives an engine up that floods it with more */

extern uintptr_t sb_control_vaddr, sb_io_vaddr;

void __real_sb_run(struct sb_run *run);
void __wrap_sb_run(struct sb_run *run);

static uint64_t state;
static uint32_t signals;

static uint64_t draw(void)
{
    state ^= state << 13; /* xorshift64 */
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t draw_word(void)
{
    static const uint64_t edges[] = {0, 1, 48, 65535, 65536, 65537, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, ~0ul};
    uint64_t kind = draw() % 8;
    if (kind > 3) {
        return draw() % 9;
    }
    return kind == 0 ? draw() : kind == 1 ? draw() % 64 : kind == 2 ? draw() % 70000 : edges[draw() % (sizeof edges / 8)];
}

static void scribble(void)
{
    struct sb_control *page = (struct sb_control *)sb_control_vaddr;
    page->exit_code = (uint32_t)draw();
    page->trap = (uint32_t)draw();
    page->memory_bytes = draw();
    page->bookkeeping_bytes = draw();
    page->calls = draw();
    memset(page->text, (int)draw(), sizeof page->text);
    memset(page->backtrace, (int)draw(), sizeof page->backtrace);
    if (signals++ < MOST_SIGNALS) {
        microkit_notify(SB_CH_ENGINE_SUPERVISOR);
    }
}

static int wrong_answer(void)
{
    static const char letters[] = "aabbc//..";
    static const char *const starts[] = {"out/a", "in/a", "a", "b/a"};
    uint8_t *io = (uint8_t *)sb_io_vaddr;
    for (int i = 0; i < 64; i++) {
        io[i] = draw() % 64 == 0 ? (uint8_t)draw() : (uint8_t)letters[draw() % (sizeof letters - 1)];
    }
    if (draw() % 4 == 0) { /* what exists in one of the directories granted, topics included */
        const char *start = starts[draw() % 4];
        memcpy(io, start, strlen(start));
    }
    uint16_t count = (uint16_t)(draw() % 4 == 0 ? draw() % (MOST_WORDS + 1) : draw() % 10);
    for (uint16_t word = 0; word < count; word++) {
        microkit_mr_set((uint8_t)word, draw_word());
    }
    uint64_t label = draw() % 8 == 0 ? draw() >> 12 : SB_WASI_LABEL_BASE + draw() % (SB_WASI_CALLS + 2);
    microkit_msginfo answer = microkit_ppcall(SB_CH_ENGINE_WASI, microkit_msginfo_new(label, count));
    uint64_t words = microkit_msginfo_get_count(answer);
    uint64_t error = microkit_mr_get(0);
    return microkit_msginfo_get_label(answer) != 0 || words == 0 || words > SB_MESSAGE_WORDS ||
           (error > SB_E_NOTCAPABLE && error != SB_PENDING);
}

void __wrap_sb_run(struct sb_run *run)
{
    uint64_t numbers[2];
    if (run->module_size != HEADER || memcmp(run->module, "HOSTILE", 8) != 0) {
        __real_sb_run(run);
        return;
    }
    memcpy(numbers, run->module + 8, sizeof numbers);
    state = numbers[0] | 1;
    run->exit_code = 0;
    for (uint64_t i = 0; i < numbers[1]; i++) {
        run->exit_code += wrong_answer() ? 1u : 0u;
        if (draw() % 256 == 0) {
            scribble();
        }
    }
    run->state = SB_ENGINE_EXITED;
    run->trap = EE_TRAP_NONE;
    run->text[0] = run->backtrace[0] = 0;
}
