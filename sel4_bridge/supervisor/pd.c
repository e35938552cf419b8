/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor's protection domain: Microkit's entry points around supervisor.h.
 *
 * Contract: CONSUMER of uart_rx, PRODUCER of uart_tx. A request is taken from the ring only while its answer is sure to
 * fit in the other ring; until then the sender is held back. Parent of the engines (child id = slot).
 *
 * Does NOT: know CBOR or SMP.
 */
#include <microkit.h>
#include <string.h>

#include "link_frame.h"
#include "pl031.h"
#include "sb_board.h"
#include "sb_code.h"
#include "sb_counter.h"
#include "sb_engine_entry.h"
#include "sb_mmio.h"
#include "sb_ring.h"
#include "sb_trust.h"
#include "smp.h"

uintptr_t sb_uart_rx_vaddr;
uintptr_t sb_uart_tx_vaddr;
uintptr_t sb_rtc_vaddr; /* 0: the board has none, and the time is what the agent says */
uintptr_t sb_system_vaddr;
uintptr_t sb_record_vaddr;
#define SB_X(slot)                      \
    uintptr_t sb_module##slot##_vaddr;  \
    uintptr_t sb_control##slot##_vaddr; \
    uintptr_t sb_launch##slot##_vaddr;  \
    uintptr_t sb_code##slot##_vaddr;    \
    uintptr_t sb_log##slot##_vaddr;     \
    uintptr_t sb_mail##slot##_vaddr;
SB_EACH_SLOT(SB_X)
#undef SB_X

/* Which kernel runs us: the stand-in's image builder and the simulator write here, Microkit's tool knows nothing. */
enum { SB_KERNEL_SEL4 = 0, SB_KERNEL_STAND_IN = 1, SB_KERNEL_SIMULATOR = 2, SB_KERNELS };
volatile uint32_t sb_kernel_kind __attribute__((section(".data"), used)) = SB_KERNEL_SEL4;

static const struct {
    const char *name, *text, *board;
} kernels[SB_KERNELS] = {
    [SB_KERNEL_SEL4] = {"sel4", "seL4", SB_BOARD},
    [SB_KERNEL_STAND_IN] = {"stand-in", "stand-in kernel (a simulator, not seL4)", SB_BOARD},
    [SB_KERNEL_SIMULATOR] = {"simulator", "host simulator (not seL4)", "simulator"},
};

static struct sb_supervisor supervisor;
static struct sb_link_decoder decoder;
static struct sb_ring_end rx; /* CONSUMER */
static struct sb_ring_end tx; /* PRODUCER */
static uint8_t answer_packet[SB_LINK_PACKET_MAX];
static uint8_t answer_lines[SB_FRAME_ENCODED_MAX];

static void engine_stop(unsigned slot)
{
    microkit_pd_stop(slot);
}

static void engine_restart(unsigned slot)
{
    microkit_pd_restart(slot, SB_ENGINE_ENTRY);
}

static void engine_resume(unsigned slot)
{
    (void)seL4_TCB_Resume(BASE_TCB_CAP + slot);
}

/* Microkit lets each domain control up to its own priority, so an engine's capability is authority enough for itself. */
static void engine_priority(unsigned slot, uint32_t priority)
{
    (void)seL4_TCB_SetPriority(BASE_TCB_CAP + slot, BASE_TCB_CAP + slot, priority);
}

static void wake_at(uint64_t ticks)
{
    microkit_mr_set(0, ticks);
    (void)microkit_ppcall(SB_CH_SUPERVISOR_TIMER, microkit_msginfo_new(SB_TIMER_SET, 1));
}

static void wasi_notify(void)
{
    microkit_notify(SB_CH_SUPERVISOR_WASI);
}

static enum sb_store_status store(enum sb_store_label label, const uint64_t arguments[SB_STORE_ARGUMENTS])
{
    for (unsigned i = 0; i < SB_STORE_ARGUMENTS; i++) {
        microkit_mr_set((seL4_Uint8)i, arguments[i]);
    }
    microkit_ppcall(SB_CH_SUPERVISOR_STORE, microkit_msginfo_new(label, SB_STORE_ARGUMENTS));
    return (enum sb_store_status)microkit_mr_get(0);
}

/* Bytes to the UART; the caller knows that there is room. */
static void send(const uint8_t *data, uint32_t size)
{
    uint32_t first = sb_ring_contiguous(&tx, size);
    memcpy(sb_ring_at(&tx, 0), data, first);
    memcpy(sb_ring_at(&tx, first), data + first, size - first);
    sb_ring_publish(&tx, size);
    supervisor.link.sent_bytes += size;
    if (sb_ring_wake_consumer(&tx)) {
        microkit_notify(SB_CH_SUPERVISOR_UART);
    }
}

static void send_text(const char *text)
{
    uint32_t size = (uint32_t)strlen(text);
    if (sb_ring_room(&tx) >= size) {
        send((const uint8_t *)text, size);
    }
}

static void send_banner(void)
{
    send_text("\nwasel " SB_VERSION " on ");
    send_text(supervisor.platform.kernel_text);
    if (supervisor.trust.development) {
        send_text("\nwasel: development image: trusts key " SB_TRUST_KEYS ", runs unsigned modules");
    }
    send_text("\nwasel: ready\n");
}

static void answer(const uint8_t *message, size_t size)
{
    supervisor.frames = decoder.console.counters;
    size_t length = sb_smp_serve(&supervisor, message, size, answer_packet + 2, SB_FRAME_MESSAGE_MAX);
    if (length > 0) {
        send(answer_lines, (uint32_t)sb_link_encode(&decoder, answer_packet, length, answer_lines));
    }
    if (supervisor.reset_wanted) {
        sb_supervisor_reset(&supervisor);
        send_banner();
    }
}

/* Take what the UART received. Bounded: each round consumes bytes, and the ring is refilled at the line's speed. */
static void serve(void)
{
    for (;;) {
        if (sb_ring_room(&tx) < SB_FRAME_ENCODED_MAX) {
            if (sb_ring_producer_sleeps(&tx, SB_FRAME_ENCODED_MAX)) {
                return;
            }
            continue;
        }
        uint32_t used = sb_ring_used(&rx);
        if (used == 0) {
            if (sb_ring_consumer_sleeps(&rx)) {
                return;
            }
            continue;
        }
        const uint8_t *message;
        size_t message_size;
        uint32_t taken = (uint32_t)sb_link_decode(&decoder, sb_ring_at(&rx, 0), sb_ring_contiguous(&rx, used), &message,
                                                  &message_size);
        supervisor.link.received_bytes += taken;
        if (sb_ring_consumed(&rx, taken)) {
            microkit_notify(SB_CH_SUPERVISOR_UART);
        }
        if (message != NULL) {
            answer(message, message_size);
        }
    }
}

void init(void)
{
    uint32_t kind = sb_kernel_kind;
    const struct sb_platform platform = {
        .kernel = kernels[kind].name,
        .kernel_text = kernels[kind].text,
        .board = kernels[kind].board,
        .tick_hz = sb_counter_hz(),
        .ticks = sb_counter_ticks,
        .engine_stop = engine_stop,
        .engine_restart = engine_restart,
        .engine_resume = engine_resume,
        .engine_priority = engine_priority,
        .wake_at = wake_at,
        .wasi_notify = wasi_notify,
        .code_publish = kind == SB_KERNEL_SIMULATOR ? NULL : sb_code_publish,
        .run_ended = wasi_notify,
        .store = store,
        .store_record = (struct sb_store_record *)sb_record_vaddr,
        .anchors = {.root = sb_trust_root,
                    .root_size = sizeof sb_trust_root,
                    .development = SB_TRUST_DEVELOPMENT != 0,
                    .device_class = SB_DEVICE_CLASS},
    };
    const struct sb_slot_regions regions[SB_SLOTS] = {
#define SB_X(slot)                                                                                          \
    {(uint8_t *)sb_module##slot##_vaddr, (struct sb_control *)sb_control##slot##_vaddr,                     \
     (struct sb_launch *)sb_launch##slot##_vaddr, (struct sb_log *)sb_log##slot##_vaddr,                    \
     (uint8_t *)sb_code##slot##_vaddr, (struct sb_mail *)sb_mail##slot##_vaddr},
        SB_EACH_SLOT(SB_X)
#undef SB_X
    };
    rx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_rx_vaddr, .index = 0};
    tx = (struct sb_ring_end){.ring = (struct sb_ring *)sb_uart_tx_vaddr, .index = 0};
    sb_supervisor_init(&supervisor, &platform, (struct sb_system *)sb_system_vaddr, regions,
                       sb_rtc_vaddr == 0 ? 0 : sb_mmio_read32(&((const struct pl031 *)sb_rtc_vaddr)->dr));
    send_banner();
    serve();
}

void notified(microkit_channel ch)
{
    if (ch == SB_CH_SUPERVISOR_TIMER) {
        sb_limits_tick(&supervisor);
        return;
    }
    sb_limits_remind(&supervisor);
    if (ch == SB_CH_SUPERVISOR_UART) {
        serve();
    } else if (ch == SB_CH_SUPERVISOR_WASI) {
        sb_drain_logs(&supervisor);
    } else if (ch >= SB_CH_SUPERVISOR_ENGINE(0) && ch < SB_CH_SUPERVISOR_ENGINE(SB_SLOTS)) {
        sb_engine_signalled(&supervisor, ch - SB_CH_SUPERVISOR_ENGINE(0));
    }
}

/* Where the words of a fault message lie: seL4 Reference Manual, chapter "Faults" (VM fault, user exception). */
enum { FAULT_VM = 6, FAULT_IP = 0, FAULT_VM_ADDRESS = 1 };
enum { FAULT_UNKNOWN_SYSCALL = 2, FAULT_UNKNOWN_SYSCALL_IP = 8 };

seL4_Bool fault(microkit_child child, microkit_msginfo msginfo, microkit_msginfo *reply_msginfo)
{
    (void)reply_msginfo;
    if (child < SB_SLOTS) {
        struct sb_fault what = {.label = (uint32_t)microkit_msginfo_get_label(msginfo)};
        what.pc = microkit_mr_get(what.label == FAULT_UNKNOWN_SYSCALL ? FAULT_UNKNOWN_SYSCALL_IP : FAULT_IP);
        what.address = what.label == FAULT_VM ? microkit_mr_get(FAULT_VM_ADDRESS) : 0;
        seL4_UserContext registers = {0}; /* a call: the fault's message registers are gone after it */
        if (seL4_TCB_ReadRegisters(BASE_TCB_CAP + child, seL4_False, 0, sizeof registers / sizeof(seL4_Word),
                                   &registers) == seL4_NoError) {
            const uint64_t first[8] = {registers.x0, registers.x1, registers.x2, registers.x3,
                                       registers.x4, registers.x5, registers.x6, registers.x7};
            memcpy(what.regs, first, sizeof what.regs);
            what.frame = registers.x29;
            what.pc = registers.pc; /* not every kind of fault carries it in its message */
        }
        sb_engine_faulted(&supervisor, child, &what);
    }
    return seL4_False; /* the engine goes on where it was restarted, or not at all */
}
