/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory regions and each domain's view of them, and accesses to device registers.
 *
 * Contract: all regions lie in one memory file; each mapping of the description is a mapping of its part with exactly
 * its permissions, followed by the hole that the description leaves: 8 GiB behind an arena. A page that nobody touched
 * costs nothing. The mapping of a device's registers is address space without access: they are reached through
 * sb_mmio_read32 and sb_mmio_write32, which find the device's model here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sb_mmio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim.h"

static uint8_t *mappings[SIM_MAPS];

struct device {
    uint64_t address; /* of its region */
    void (*map)(int map); /* NULL: registers only */
    uint32_t (*read)(uint32_t offset);
    void (*write)(uint32_t offset, uint32_t value);
};

static uint32_t rtc_read(uint32_t offset)
{
    return offset == 0 ? sim_clock_rtc() : 0;
}

static void rtc_write(uint32_t offset, uint32_t value)
{
    (void)offset;
    (void)value;
}

static const struct device devices[] = {
    {SIM_UART_ADDRESS, NULL, sim_uart_read, sim_uart_write},
    {SIM_RTC_ADDRESS, NULL, rtc_read, rtc_write},
    {SIM_FLASH_ADDRESS, sim_flash_map, sim_flash_read, sim_flash_write},
};

static const struct device *device_at(uint64_t address)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++) {
        if (devices[i].address == address) {
            return &devices[i];
        }
    }
    return NULL;
}

static uint8_t *reserve(size_t size)
{
    uint8_t *base = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        sim_fail("no address space for %zu bytes: %s", size, strerror(errno));
    }
    return base;
}

void sim_map_all(void)
{
    off_t at[SIM_REGIONS];
    off_t total = 0;
    for (int i = 0; i < SIM_REGIONS; i++) {
        at[i] = total;
        total += sim_regions[i].is_device ? 0 : (off_t)sim_regions[i].size;
    }
    int file = memfd_create("wasel-sim-memory", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, total) != 0) {
        sim_fail("no memory file of %lld bytes: %s", (long long)total, strerror(errno));
    }
    for (int i = 0; i < SIM_MAPS; i++) {
        const struct sim_map_row *map = &sim_maps[i];
        const struct sim_region_row *region = &sim_regions[map->region];
        int access = (map->read ? PROT_READ : 0) | (map->write ? PROT_WRITE : 0) | (map->execute ? PROT_EXEC : 0);
        mappings[i] = reserve(region->size + map->hole);
        if (region->is_device) {
            const struct device *device = device_at(region->address);
            if (device == NULL) {
                sim_fail("region %s: no model of a device at %#llx", region->name, (unsigned long long)region->address);
            }
            if (device->map != NULL) {
                device->map(i);
            }
        } else if (mmap(mappings[i], region->size, access, MAP_SHARED | MAP_FIXED, file, at[map->region]) == MAP_FAILED) {
            sim_fail("region %s cannot be mapped: %s", region->name, strerror(errno));
        }
    }
    (void)close(file);
}

void *sim_mapping(int map)
{
    return mappings[map];
}

/* The device under a register's address, and the offset in it. */
static const struct device *find(const volatile void *address, uint32_t *offset)
{
    uintptr_t at = (uintptr_t)address;
    for (int i = 0; i < SIM_MAPS; i++) {
        const struct sim_region_row *region = &sim_regions[sim_maps[i].region];
        uintptr_t base = (uintptr_t)mappings[i];
        if (region->is_device && at >= base && at - base < region->size &&
            &sim.domains[sim_maps[i].domain] == sim.current) {
            *offset = (uint32_t)(at - base);
            return device_at(region->address);
        }
    }
    sim_fail("domain %s accesses %p as a register, but it has no device there", sim.current->row->name,
             (const void *)at);
}

uint32_t sb_mmio_read32(const volatile uint32_t *address)
{
    uint32_t offset;
    sim.in_kernel = 1;
    uint32_t value = find(address, &offset)->read(offset);
    sim.in_kernel = 0;
    return value;
}

void sb_mmio_write32(volatile uint32_t *address, uint32_t value)
{
    uint32_t offset;
    sim.in_kernel = 1;
    find(address, &offset)->write(offset, value);
    sim.in_kernel = 0;
}
