/* SPDX-License-Identifier: Apache-2.0 */
/* See manifest.h. */
#include "manifest.h"

#include <string.h>

#include "strict_map.h"

static enum sb_refusal shape(enum sb_strict_result result)
{
    switch (result) {
    case SB_STRICT_OK:
        return SB_ACCEPTED;
    case SB_STRICT_DUPLICATE:
        return SB_REFUSED_MANIFEST_DUPLICATE;
    case SB_STRICT_ORDER:
        return SB_REFUSED_MANIFEST_ORDER;
    case SB_STRICT_KEY:
        return SB_REFUSED_MANIFEST_KEY;
    case SB_STRICT_SHAPE:
        break;
    }
    return SB_REFUSED_MANIFEST_SHAPE;
}

/* A text of at most `max` bytes; control characters, NUL among them, have no place in it. */
static bool copy_text(char *out, const struct sb_cbor_string *text, size_t max)
{
    if (text->size == 0 || text->size > max) {
        return false;
    }
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] < ' ' || text->data[i] >= 0x7f) {
            return false;
        }
    }
    memcpy(out, text->data, text->size);
    out[text->size] = 0;
    return true;
}

static struct sb_slice slice(const uint8_t *module, const uint8_t *begin, const uint8_t *end)
{
    return (struct sb_slice){(uint32_t)(begin - module), (uint32_t)(end - begin)};
}

static bool begins(const struct sb_cbor_string *text, const char *with)
{
    size_t size = strlen(with);
    return text->size > size && memcmp(text->data, with, size) == 0;
}

static bool same(const struct sb_cbor_string *text, const char *other)
{
    return text->size == strlen(other) && memcmp(text->data, other, text->size) == 0;
}

static bool contains(const struct sb_cbor_string *text, uint8_t byte)
{
    for (size_t i = 0; i < text->size; i++) {
        if (text->data[i] == byte) {
            return true;
        }
    }
    return false;
}

static bool is_number(const struct sb_cbor_string *text, size_t at)
{
    uint64_t value = 0;
    for (; at < text->size; at++) {
        if (text->data[at] < '0' || text->data[at] > '9' || value > UINT32_MAX) {
            return false;
        }
        value = value * 10 + (uint64_t)(text->data[at] - '0');
    }
    return value <= UINT32_MAX;
}

/* "tcp:a.b.c.d:port" or "udp:...": digits and dots, and one colon before a port. wasi/socket.c compares it as text. */
static bool is_destination(const struct sb_cbor_string *text, size_t at)
{
    bool known = text->size > at + 4 && (memcmp(text->data + at, "tcp:", 4) == 0 || memcmp(text->data + at, "udp:", 4) == 0);
    unsigned dots = 0, colons = 0;
    for (at += 4; known && at < text->size; at++) {
        uint8_t byte = text->data[at];
        dots += byte == '.' ? 1u : 0u;
        colons += byte == ':' ? 1u : 0u;
        known = (byte >= '0' && byte <= '9') || (byte == '.' && colons == 0) || (byte == ':' && colons == 1);
    }
    return known && dots == 3 && colons == 1;
}

/* The words that wasi/grants.c enforces. */
static bool is_policy_word(const struct sb_cbor_string *text)
{
    return begins(text, "dir=") || begins(text, "publish=") || begins(text, "subscribe=") ||
           (begins(text, "connect=") && is_destination(text, 8)) || (begins(text, "listen=") && is_destination(text, 7)) ||
           same(text, "clocks=off") || same(text, "random=off") ||
           (begins(text, "files=") && is_number(text, 6)) || (begins(text, "bytes=") && is_number(text, 6)) ||
           (begins(text, "output=") && is_number(text, 7)) || (begins(text, "resolution=") && is_number(text, 11));
}

static bool is_assignment(const struct sb_cbor_string *text)
{
    return text->size > 1 && text->data[0] != '=' && contains(text, '=');
}

static enum sb_refusal read_strings(struct sb_cbor_array array, bool (*allowed)(const struct sb_cbor_string *),
                                    enum sb_refusal otherwise)
{
    if (array.count > SB_MAX_STRINGS) {
        return SB_REFUSED_MANIFEST_VALUE;
    }
    for (uint64_t i = 0; i < array.count; i++) {
        struct sb_cbor_string text;
        if (!sb_strict_read_string(&array.items, SB_CBOR_MAJOR_TEXT, &text)) {
            return SB_REFUSED_MANIFEST_SHAPE;
        }
        if (text.size == 0 || text.size > SB_MAX_TEXT || contains(&text, 0)) {
            return SB_REFUSED_MANIFEST_VALUE;
        }
        if (!allowed(&text)) {
            return otherwise;
        }
    }
    return SB_ACCEPTED;
}

static enum sb_refusal read_health(const uint8_t *module, struct sb_cbor_reader map, struct sb_manifest *out)
{
    uint64_t code = 0;
    uint64_t alive_s = 0;
    uint64_t timeout_s = 0;
    struct sb_cbor_string line = {0};
    struct sb_strict_field fields[] = {
        {"exit", SB_STRICT_UINT, &code, false},
        {"line", SB_STRICT_TEXT, &line, false},
        {"alive_s", SB_STRICT_UINT, &alive_s, false},
        {"timeout_s", SB_STRICT_UINT, &timeout_s, false},
    };
    enum sb_refusal refusal = shape(sb_strict_read_map(&map, fields, 4));
    if (refusal != SB_ACCEPTED) {
        return refusal;
    }
    if (fields[0].found + fields[1].found + fields[2].found != 1 || code > SB_MAX_EXIT || line.size > SB_MAX_TEXT ||
        alive_s > SB_MAX_HEALTH_S || timeout_s > SB_MAX_HEALTH_S || (fields[2].found && fields[3].found)) {
        return SB_REFUSED_MANIFEST_VALUE;
    }
    out->health = fields[0].found ? SB_HEALTH_EXIT : fields[1].found ? SB_HEALTH_LINE : SB_HEALTH_ALIVE;
    out->health_value = (uint32_t)(fields[0].found ? code : alive_s);
    out->health_timeout_s = (uint32_t)timeout_s;
    if (fields[1].found) {
        out->health_line = slice(module, line.data, line.data + line.size);
    }
    return SB_ACCEPTED;
}

/* A number that must lie between least and most if it is there. */
struct range {
    bool found;
    uint64_t value, least, most;
};

static bool in_range(const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (ranges[i].found && (ranges[i].value < ranges[i].least || ranges[i].value > ranges[i].most)) {
            return false;
        }
    }
    return true;
}

enum sb_refusal sb_manifest_read(const uint8_t *module, struct sb_slice where, struct sb_manifest *out)
{
    enum { V, SIZE, SEQUENCE, NAME, VERSION, DOWNGRADE, DEVICE, SLOT, ARENA, STACK, FUEL, BUDGET, PERIOD, ENV, POLICY, HEALTH,
           FIELDS };
    uint64_t format = 0;
    uint64_t budget = 0;
    uint64_t period = 0;
    struct sb_cbor_string name = {0};
    struct sb_cbor_string version = {0};
    struct sb_cbor_string device_class = {0};
    struct sb_cbor_string slot_class = {0};
    struct sb_cbor_array env = {0};
    struct sb_cbor_array policy = {0};
    struct sb_cbor_reader health = {0};
    struct sb_cbor_reader r = {module + where.offset, module + where.offset + where.size};
    *out = (struct sb_manifest){0};
    struct sb_strict_field f[FIELDS] = {
        [V] = {"v", SB_STRICT_UINT, &format, false},
        [SIZE] = {"size", SB_STRICT_UINT, &out->size, false},
        [SEQUENCE] = {"sequence", SB_STRICT_UINT, &out->sequence, false},
        [NAME] = {"name", SB_STRICT_TEXT, &name, false},
        [VERSION] = {"version", SB_STRICT_TEXT, &version, false},
        [DOWNGRADE] = {"downgrade_from", SB_STRICT_UINT, &out->downgrade_from, false},
        [DEVICE] = {"device_class", SB_STRICT_TEXT, &device_class, false},
        [SLOT] = {"slot_class", SB_STRICT_TEXT, &slot_class, false},
        [ARENA] = {"arena", SB_STRICT_UINT, &out->arena, false},
        [STACK] = {"stack", SB_STRICT_UINT, &out->stack, false},
        [FUEL] = {"fuel", SB_STRICT_UINT, &out->fuel, false},
        [BUDGET] = {"budget_us", SB_STRICT_UINT, &budget, false},
        [PERIOD] = {"period_us", SB_STRICT_UINT, &period, false},
        [ENV] = {"env", SB_STRICT_ARRAY, &env, false},
        [POLICY] = {"policy", SB_STRICT_ARRAY, &policy, false},
        [HEALTH] = {"health", SB_STRICT_MAP, &health, false},
    };
    if (where.size > SB_MAX_MANIFEST) {
        return SB_REFUSED_MANIFEST_VALUE;
    }
    enum sb_refusal refusal = shape(sb_strict_read_map(&r, f, FIELDS));
    if (refusal != SB_ACCEPTED) {
        return refusal;
    }
    if (r.p != r.end) {
        return SB_REFUSED_MANIFEST_SHAPE;
    }
    for (size_t i = V; i <= VERSION; i++) {
        if (!f[i].found) {
            return SB_REFUSED_MANIFEST_MISSING;
        }
    }
    if (format != SB_MANIFEST_FORMAT) {
        return SB_REFUSED_MANIFEST_VERSION;
    }
    const struct range ranges[] = {
        {true, out->sequence, 1, SB_MAX_SEQUENCE},
        {f[DOWNGRADE].found, out->downgrade_from, out->sequence, SB_MAX_SEQUENCE},
        {f[ARENA].found, out->arena, SB_MIN_ARENA, SB_MAX_ARENA},
        {f[STACK].found, out->stack, SB_MIN_STACK, SB_MAX_STACK},
        {f[FUEL].found, out->fuel, 1, SB_MAX_FUEL},
        {f[BUDGET].found || f[PERIOD].found, period, 1, SB_MAX_PERIOD_US},
        {f[BUDGET].found || f[PERIOD].found, budget, 1, period},
    };
    if (!in_range(ranges, sizeof ranges / sizeof ranges[0]) || !copy_text(out->name, &name, SB_MAX_NAME) ||
        !copy_text(out->version, &version, SB_MAX_VERSION) ||
        (f[DEVICE].found && !copy_text(out->device_class, &device_class, SB_MAX_CLASS)) ||
        (f[SLOT].found && !copy_text(out->slot_class, &slot_class, SB_MAX_CLASS))) {
        return SB_REFUSED_MANIFEST_VALUE;
    }
    out->budget_us = (uint32_t)budget;
    out->period_us = (uint32_t)period;
    if (f[ENV].found) {
        refusal = read_strings(env, is_assignment, SB_REFUSED_MANIFEST_VALUE);
        out->env = slice(module, env.items.p, env.items.end);
        out->env_count = (uint32_t)env.count;
    }
    if (refusal == SB_ACCEPTED && f[POLICY].found) {
        refusal = read_strings(policy, is_policy_word, SB_REFUSED_POLICY);
        out->policy = slice(module, policy.items.p, policy.items.end);
        out->policy_count = (uint32_t)policy.count;
    }
    if (refusal == SB_ACCEPTED && f[HEALTH].found) {
        refusal = read_health(module, health, out);
    }
    return refusal;
}
