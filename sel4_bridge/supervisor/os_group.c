/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMP group 0, OS: echo, reset, MCUmgr parameters, application info, date and time.
 *
 * Source: Zephyr, "Default/OS management" (MCUmgr group 0); civil dates after Howard Hinnant's "chrono-compatible
 * low-level date algorithms" (days from civil and back).
 */
#include <string.h>

#include "smp.h"

/* enum os_mgmt_err_code_t, as far as it is used */
enum { OS_INVALID_FORMAT = 2 };

static enum sb_smp_error general(int32_t rc)
{
    (void)rc;
    return SB_SMP_INVALID;
}

static int32_t echo_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string text = {(const uint8_t *)"", 0};
    struct sb_cbor_field fields[] = {{"d", SB_CBOR_TEXT, &text, false}};
    (void)s;
    if (!sb_smp_read_body(body, fields, 1)) {
        return -SB_SMP_INVALID;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
    sb_cbor_write_text(out, "r");
    sb_cbor_write_text_bytes(out, text.data, text.size);
    return 0;
}

static int32_t reset_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    if (!sb_smp_read_body(body, NULL, 0)) { /* "force" and "boot_mode" are skipped: there is but one way */
        return -SB_SMP_INVALID;
    }
    s->reset_wanted = true;
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    return 0;
}

static int32_t parameters_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    (void)s;
    if (!sb_smp_read_body(body, NULL, 0)) {
        return -SB_SMP_INVALID;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 2);
    sb_cbor_put_uint(out, "buf_size", SB_FRAME_MESSAGE_MAX);
    sb_cbor_put_uint(out, "buf_count", SB_BUFFER_COUNT);
    return 0;
}

static int32_t info_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string format = {(const uint8_t *)"s", 1};
    struct sb_cbor_field fields[] = {{"format", SB_CBOR_TEXT, &format, false}};
    if (!sb_smp_read_body(body, fields, 1)) {
        return -SB_SMP_INVALID;
    }
    /* In the order in which they are answered, whatever the order asked. */
    const struct {
        char letter;
        const char *text;
    } parts[] = {
        {'s', "wasel"},   {'n', "wasel"},           {'r', SB_VERSION}, {'v', SB_VERSION},
        {'m', "aarch64"}, {'p', "cortex-a53"},      {'i', s->platform.board},
        {'o', s->platform.kernel_text},
    };
    bool wanted[sizeof parts / sizeof parts[0]] = {0};
    size_t count = sizeof parts / sizeof parts[0];
    for (size_t i = 0; i < format.size; i++) {
        bool known = format.data[i] == 'a';
        for (size_t part = 0; part < count; part++) {
            bool match = format.data[i] == 'a' || format.data[i] == (uint8_t)parts[part].letter;
            wanted[part] |= match;
            known |= match;
        }
        if (!known) {
            return OS_INVALID_FORMAT;
        }
    }
    char text[256];
    size_t size = 0;
    for (size_t part = 0; part < count; part++) {
        size_t length = strlen(parts[part].text);
        if (!wanted[part] || size + 1 + length > sizeof text) {
            continue;
        }
        if (size > 0) {
            text[size++] = ' ';
        }
        memcpy(&text[size], parts[part].text, length);
        size += length;
    }
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
    sb_cbor_write_text(out, "output");
    sb_cbor_write_text_bytes(out, text, size);
    return 0;
}

#define NS_PER_S 1000000000u
#define S_PER_DAY 86400u
#define DAYS_0000_TO_1970 719468u /* from 0000-03-01 */
#define DAYS_PER_ERA 146097u      /* 400 years */

struct civil {
    uint32_t year, month, day, hour, minute, second, microsecond;
};

static uint64_t days_from_civil(uint32_t year, uint32_t month, uint32_t day)
{
    uint32_t y = year - (month <= 2 ? 1u : 0u);
    uint32_t era = y / 400;
    uint32_t year_of_era = y - era * 400;
    uint32_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    uint32_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (uint64_t)era * DAYS_PER_ERA + day_of_era - DAYS_0000_TO_1970;
}

static struct civil civil_from_ns(uint64_t ns)
{
    uint64_t seconds = ns / NS_PER_S;
    uint32_t in_day = (uint32_t)(seconds % S_PER_DAY);
    uint64_t z = seconds / S_PER_DAY + DAYS_0000_TO_1970;
    uint32_t era = (uint32_t)(z / DAYS_PER_ERA);
    uint32_t day_of_era = (uint32_t)(z % DAYS_PER_ERA);
    uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t mp = (5 * day_of_year + 2) / 153;
    uint32_t month = mp < 10 ? mp + 3 : mp - 9;
    return (struct civil){
        .year = year_of_era + era * 400 + (month <= 2 ? 1u : 0u),
        .month = month,
        .day = day_of_year - (153 * mp + 2) / 5 + 1,
        .hour = in_day / 3600,
        .minute = in_day / 60 % 60,
        .second = in_day % 60,
        .microsecond = (uint32_t)(ns % NS_PER_S / 1000u),
    };
}

static char *put_digits(char *out, uint32_t value, unsigned digits)
{
    for (unsigned i = digits; i-- > 0; value /= 10) {
        out[i] = (char)('0' + value % 10);
    }
    return out + digits;
}

static int32_t datetime_read(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    if (!sb_smp_read_body(body, NULL, 0)) {
        return -SB_SMP_INVALID;
    }
    struct civil t = civil_from_ns(s->system->realtime_offset_ns + sb_monotonic_ns(s));
    char text[] = "yyyy-mm-ddThh:mm:ss.uuuuuu";
    put_digits(text, t.year, 4);
    put_digits(text + 5, t.month, 2);
    put_digits(text + 8, t.day, 2);
    put_digits(text + 11, t.hour, 2);
    put_digits(text + 14, t.minute, 2);
    put_digits(text + 17, t.second, 2);
    put_digits(text + 20, t.microsecond, 6);
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 1);
    sb_cbor_put_text(out, "datetime", text);
    return 0;
}

/* Exactly `digits` digits, then advance. */
static bool get_digits(const uint8_t **p, const uint8_t *end, unsigned digits, uint32_t *value)
{
    if ((size_t)(end - *p) < digits) {
        return false;
    }
    uint32_t sum = 0;
    for (unsigned i = 0; i < digits; i++) {
        uint8_t c = (*p)[i];
        if (c < '0' || c > '9') {
            return false;
        }
        sum = sum * 10 + (uint32_t)(c - '0');
    }
    *p += digits;
    *value = sum;
    return true;
}

static bool get_char(const uint8_t **p, const uint8_t *end, char wanted)
{
    if (*p == end || **p != (uint8_t)wanted) {
        return false;
    }
    (*p)++;
    return true;
}

/* "yyyy-mm-ddThh:mm:ss[.fraction][Z|+hh:mm|-hh:mm]", years 1970 to 2400; no zone is UTC. */
static bool parse_time(const struct sb_cbor_string *text, uint64_t *ns)
{
    const uint8_t *p = text->data;
    const uint8_t *end = p + text->size;
    struct civil t = {0};
    uint64_t fraction = 0;
    if (!get_digits(&p, end, 4, &t.year) || !get_char(&p, end, '-') || !get_digits(&p, end, 2, &t.month) ||
        !get_char(&p, end, '-') || !get_digits(&p, end, 2, &t.day) || !get_char(&p, end, 'T') ||
        !get_digits(&p, end, 2, &t.hour) || !get_char(&p, end, ':') || !get_digits(&p, end, 2, &t.minute) ||
        !get_char(&p, end, ':') || !get_digits(&p, end, 2, &t.second)) {
        return false;
    }
    if (t.year < 1970 || t.year > 2400 || t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 ||
        t.minute > 59 || t.second > 60) {
        return false;
    }
    if (get_char(&p, end, '.')) {
        uint32_t digit;
        uint64_t scale = NS_PER_S / 10;
        const uint8_t *start = p;
        while (get_digits(&p, end, 1, &digit)) { /* digits past the ninth count nothing */
            fraction += digit * scale;
            scale /= 10;
        }
        if (p == start) {
            return false;
        }
    }
    uint64_t seconds = days_from_civil(t.year, t.month, t.day) * S_PER_DAY + (uint64_t)t.hour * 3600u + (uint64_t)t.minute * 60u + t.second;
    bool east = get_char(&p, end, '+');
    if (east || get_char(&p, end, '-')) {
        uint32_t hours;
        uint32_t minutes;
        if (!get_digits(&p, end, 2, &hours) || !get_char(&p, end, ':') || !get_digits(&p, end, 2, &minutes) ||
            hours > 23 || minutes > 59) {
            return false;
        }
        uint64_t offset = hours * 3600u + minutes * 60u;
        if (east && offset > seconds) {
            return false;
        }
        seconds = east ? seconds - offset : seconds + offset;
    } else {
        (void)get_char(&p, end, 'Z');
    }
    *ns = seconds * NS_PER_S + fraction;
    return p == end;
}

static int32_t datetime_write(struct sb_supervisor *s, struct sb_cbor_reader *body, struct sb_cbor_writer *out)
{
    struct sb_cbor_string text = {0};
    struct sb_cbor_field fields[] = {{"datetime", SB_CBOR_TEXT, &text, false}};
    uint64_t ns;
    if (!sb_smp_read_body(body, fields, 1) || !fields[0].found) {
        return -SB_SMP_INVALID;
    }
    if (!parse_time(&text, &ns)) {
        return -SB_SMP_INVALID;
    }
    __atomic_store_n(&s->system->realtime_offset_ns, ns - sb_monotonic_ns(s), __ATOMIC_RELEASE);
    sb_cbor_write_head(out, SB_CBOR_MAJOR_MAP, 0);
    return 0;
}

static const struct sb_smp_command commands[] = {
    {0, NULL, echo_write}, {4, datetime_read, datetime_write}, {5, NULL, reset_write},
    {6, parameters_read, NULL}, {7, info_read, NULL},
};

const struct sb_smp_group_table sb_os_group = {
    SB_GROUP_OS, sizeof commands / sizeof commands[0], commands, general};
