/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The objects of the system out of the boot description (boot.h): memory, address spaces, threads and what each holds,
 * in the places where the Microkit tool 2.0.1 puts its capabilities.
 */
#include "boot.h"
#include "kernel.h"

#define BADGE_CALL (1ul << 63)
#define BADGE_FAULT (1ul << 62)

enum {
    CAP_INPUT = 1,
    CAP_OWN_SPACE = 3,
    CAP_OWN_REPLY = 4,
    CAP_MONITOR_ENDPOINT = 5,
    CAP_BASE_NOTIFICATION = 10,
    CAP_BASE_ENDPOINT = 74,
    CAP_BASE_IRQ = 138,
    CAP_BASE_THREAD = 202,
    MAX_CHANNEL = 61,
};

struct domain {
    struct thread thread;
    struct endpoint endpoint;
    struct notification notification;
    struct reply reply;
    bool needs_endpoint; /* has children, or somebody may call it */
};

extern char bss_end[];
extern uint64_t boot_table0[];

static const struct boot_header *header;
static struct domain *domains[MAX_DOMAINS];

static const void *table(struct boot_table where, uint64_t size)
{
    uint64_t room = header->image_end;
    if (where.offset > room || where.count > (room - where.offset) / size || (where.offset & 7u)) {
        panic("the image's tables are damaged");
    }
    return (const char *)header + where.offset;
}

static struct domain *domain_at(uint64_t index)
{
    if (index >= header->domains.count) {
        panic("the image names a domain that isn't there");
    }
    return domains[index];
}

static void set_cap(struct domain *domain, uint64_t slot, enum cap_type type, uint64_t badge, void *object)
{
    domain->thread.cspace[slot] = (struct cap){type, badge, object};
}

static uint64_t checked_id(uint64_t id)
{
    if (id > MAX_CHANNEL) {
        panic("the image names a channel that can't be");
    }
    return id;
}

static void make_domains(void)
{
    const struct boot_domain *boot = table(header->domains, sizeof(*boot));
    if (header->domains.count > MAX_DOMAINS) {
        panic("too many domains");
    }
    for (uint64_t i = 0; i < header->domains.count; i++) {
        struct domain *d = memory_at(memory_take(sizeof(*d), 4096));
        struct thread *t = &d->thread;
        domains[i] = d;
        memory_copy(t->name, boot[i].name, sizeof(boot[i].name));
        t->priority = t->max_priority = (unsigned)(boot[i].priority & 255u);
        t->context.pc = t->restart_pc = boot[i].entry;
        t->context.sp = boot[i].stack_top;
        t->context.spsr = user_spsr(0);
        t->ttbr = space_new((unsigned)i + 1);
        t->cspace = memory_at(memory_take(CSPACE_SLOTS * sizeof(struct cap), 4096));
        t->notification = &d->notification;
        d->notification.bound = t;
        budget_init(&t->own_budget, boot[i].budget_us, boot[i].period_us);

        uint64_t buffer = memory_take(4096, 4096);
        t->ipc_buffer = memory_at(buffer);
        space_map(t->ttbr, boot[i].ipc_buffer, buffer, 4096, BOOT_READ | BOOT_WRITE | BOOT_CACHED);
        space_map(t->ttbr, boot[i].stack_top - boot[i].stack_size, memory_take(boot[i].stack_size, 4096),
                  boot[i].stack_size, BOOT_READ | BOOT_WRITE | BOOT_CACHED);
    }
}

static void make_family(void)
{
    const struct boot_domain *boot = table(header->domains, sizeof(*boot));
    for (uint64_t i = 0; i < header->domains.count; i++) {
        struct domain *d = domains[i];
        if (boot[i].parent != BOOT_NONE) {
            struct domain *parent = domain_at(boot[i].parent);
            uint64_t child = checked_id(boot[i].child);
            parent->needs_endpoint = true;
            d->thread.fault_endpoint = &parent->endpoint;
            d->thread.fault_badge = BADGE_FAULT | child;
            set_cap(parent, CAP_BASE_THREAD + child, CAP_THREAD, 0, &d->thread);
        }
        if (boot[i].passive) {
            set_cap(d, CAP_MONITOR_ENDPOINT, CAP_MONITOR, 0, NULL);
        }
    }
}

static void make_channels(void)
{
    const struct boot_channel *boot = table(header->channels, sizeof(*boot));
    for (uint64_t i = 0; i < header->channels.count; i++) {
        struct domain *from = domain_at(boot[i].from);
        struct domain *to = domain_at(boot[i].to);
        uint64_t from_id = checked_id(boot[i].from_id);
        uint64_t to_id = checked_id(boot[i].to_id);
        if (boot[i].notify) {
            set_cap(from, CAP_BASE_NOTIFICATION + from_id, CAP_NOTIFICATION, 1ul << to_id, &to->notification);
        }
        if (boot[i].call) {
            to->needs_endpoint = true;
            set_cap(from, CAP_BASE_ENDPOINT + from_id, CAP_ENDPOINT, BADGE_CALL | to_id, &to->endpoint);
        }
    }
}

static void make_memory(void)
{
    const struct boot_region *regions = table(header->regions, sizeof(*regions));
    uint64_t count = header->regions.count;
    uint64_t *phys = memory_at(memory_take(count * sizeof(*phys), 4096));
    for (uint64_t i = 0; i < count; i++) {
        bool large = (regions[i].size & ((1ul << 21) - 1)) == 0;
        phys[i] = regions[i].phys != BOOT_NONE ? regions[i].phys
                                               : memory_take(regions[i].size, large ? 1ul << 21 : 4096);
    }
    const struct boot_map *maps = table(header->maps, sizeof(*maps));
    for (uint64_t i = 0; i < header->maps.count; i++) {
        if (maps[i].region >= count) {
            panic("the image maps a region that isn't there");
        }
        space_map(domain_at(maps[i].domain)->thread.ttbr, maps[i].vaddr, phys[maps[i].region],
                  regions[maps[i].region].size, maps[i].flags);
    }
}

static void load_pieces(char *segment, const struct boot_segment *s)
{
    const struct boot_piece *piece = table(header->pieces, sizeof(*piece));
    if (s->first_piece > header->pieces.count || s->pieces > header->pieces.count - s->first_piece) {
        panic("a segment's pieces are missing");
    }
    piece += s->first_piece;
    for (uint64_t i = 0; i < s->pieces; i++, piece++) {
        const void *data = table((struct boot_table){piece->data, piece->size}, 1);
        if (piece->at > s->size || piece->size > s->size - piece->at) {
            panic("a segment's bytes don't fit it");
        }
        memory_copy(segment + piece->at, data, piece->size);
    }
}

static void load_segments(void)
{
    const struct boot_segment *s = table(header->segments, sizeof(*s));
    for (uint64_t i = 0; i < header->segments.count; i++, s++) {
        uint64_t phys = memory_take(s->size, 4096);
        load_pieces(memory_at(phys), s);
        space_map(domain_at(s->domain)->thread.ttbr, s->vaddr, phys, s->size, s->flags);
    }
    __asm__ volatile("dsb sy\n\tic iallu\n\tdsb sy\n\tisb");
}

static void make_interrupts(void)
{
    const struct boot_irq *boot = table(header->irqs, sizeof(*boot));
    for (uint64_t i = 0; i < header->irqs.count; i++) {
        struct domain *d = domain_at(boot[i].domain);
        uint64_t id = checked_id(boot[i].id);
        unsigned irq = boot[i].irq < MAX_IRQ ? (unsigned)boot[i].irq : MAX_IRQ;
        gic_route(irq, &d->notification, 1ul << id, boot[i].edge != 0);
        set_cap(d, CAP_BASE_IRQ + id, CAP_IRQ, irq, NULL);
    }
}

void setup(void)
{
    /* Nothing of the boot mapping may stay where domains will be. */
    boot_table0[0] = 0;
    __asm__ volatile("dsb sy\n\ttlbi vmalle1\n\tdsb sy\n\tisb");

    if ((uint64_t)kernel_image != KERNEL_BASE + RAM_BASE + IMAGE_OFFSET) {
        panic("linked for another address");
    }
    header = (const struct boot_header *)kernel_end;
    if (header->magic != BOOT_MAGIC || header->version != BOOT_VERSION) {
        panic("no boot description of this version behind the kernel");
    }
    if (header->image_end > (uint64_t)bss_end - (uint64_t)kernel_image) {
        panic("the image is too large");
    }
    uint64_t start = (uint64_t)bss_end - KERNEL_BASE;
    memory_init(start, header->ram_base + header->ram_size - start);

    space_protect_kernel();
    make_domains();
    make_family();
    make_channels();
    make_memory();
    load_segments();
    make_interrupts();

    for (uint64_t i = 0; i < header->domains.count; i++) {
        struct domain *d = domains[i];
        if (d->needs_endpoint) {
            set_cap(d, CAP_INPUT, CAP_ENDPOINT, 0, &d->endpoint);
        } else {
            set_cap(d, CAP_INPUT, CAP_NOTIFICATION, 0, &d->notification);
        }
        set_cap(d, CAP_OWN_SPACE, CAP_VSPACE, 0, NULL);
        set_cap(d, CAP_OWN_REPLY, CAP_REPLY, 0, &d->reply);
        d->thread.state = RUNNABLE;
        budget_give(&d->thread.own_budget, &d->thread);
    }
}
