/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parsing: writes a JSON text (RFC 8259) of telemetry records into a buffer, then parses it by recursive descent into
 * nodes and walks them. The check: node and element counts are what was written, and the sum of values comes back.
 */
#include "kernel.h"

#define TEXT_BYTES 16384
#define NODES 2048
#define RECORDS 60

enum kind { BAD, NIL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT };
struct node {
    enum kind kind;
    uint32_t next, child; /* node numbers, 0: none */
    uint32_t name, name_size, text, text_size;
    double value;
};

static char text[TEXT_BYTES];
static uint32_t text_size, at, node_count;
static struct node nodes[NODES];

static void put(const char *s) {
    while (*s != 0)
        text[text_size++] = *s++;
}

static void put_number(uint32_t x) {
    char digits[10];
    int count = 0;
    do
        digits[count++] = (char)('0' + x % 10);
    while ((x /= 10) != 0);
    while (count > 0)
        text[text_size++] = digits[--count];
}

static uint32_t write_text(uint32_t seed) {
    uint32_t total = 0;
    text_size = 0;
    put("[\n");
    for (int i = 0; i < RECORDS; i++) {
        uint32_t value = kernel_random(&seed) % 100000, hundredths = kernel_random(&seed) % 90 + 10;
        total += value * 100 + hundredths;
        put(i == 0 ? "  {\"sensor\": \"boiler-" : ",\n  {\"sensor\": \"boiler-");
        put_number((uint32_t)i);
        put("\", \"ok\": ");
        put(value & 1 ? "true" : "false");
        put(", \"note\": \"line\\n\\\"quoted\\\" \\u00e9\", \"extra\": null, \"value\": ");
        put_number(value);
        put(".");
        put_number(hundredths);
        put(", \"limits\": [-40, 1.5e2, 0.25]}");
    }
    put("\n]");
    return total;
}

static void skip_space(void) {
    while (at < text_size && (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t'))
        at++;
}

static int hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* A string after its opening quote; 0 if it is not one. */
static KERNEL_NOINLINE int scan_string(uint32_t *start, uint32_t *size) {
    *start = at;
    while (at < text_size) {
        char c = text[at++];
        if (c == '"') {
            *size = at - 1 - *start;
            return 1;
        }
        if ((unsigned char)c < 0x20)
            return 0;
        if (c != '\\')
            continue;
        switch (text[at++]) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            break;
        case 'u':
            for (int i = 0; i < 4; i++)
                if (!hex(text[at++]))
                    return 0;
            break;
        default:
            return 0;
        }
    }
    return 0;
}

static KERNEL_NOINLINE double scan_number(void) {
    int negative = text[at] == '-', exponent = 0;
    double value = 0, scale = 1;
    at += (uint32_t)negative;
    while (text[at] >= '0' && text[at] <= '9')
        value = value * 10 + (text[at++] - '0');
    if (text[at] == '.') {
        at++;
        while (text[at] >= '0' && text[at] <= '9') {
            value = value * 10 + (text[at++] - '0');
            scale *= 10;
        }
    }
    if (text[at] == 'e' || text[at] == 'E') {
        at++;
        int down = text[at] == '-';
        at += text[at] == '-' || text[at] == '+';
        while (text[at] >= '0' && text[at] <= '9')
            exponent = exponent * 10 + (text[at++] - '0');
        for (; exponent > 0; exponent--)
            scale = down ? scale * 10 : scale / 10;
    }
    value /= scale;
    return negative ? -value : value;
}

static int word(const char *expected) {
    for (; *expected != 0; expected++)
        if (text[at++] != *expected)
            return 0;
    return 1;
}

/* Returns the node's number, or 0 on bad text. Depth is bounded by what write_text nests. */
static KERNEL_NOINLINE uint32_t parse(void) {
    if (node_count == NODES)
        return 0;
    uint32_t self = node_count++;
    struct node *node = &nodes[self];
    *node = (struct node){0};
    skip_space();
    char c = text[at];
    switch (c) {
    case '{': case '[': {
        char close = c == '{' ? '}' : ']';
        uint32_t *link = &node->child;
        node->kind = c == '{' ? OBJECT : ARRAY;
        at++;
        skip_space();
        if (text[at] == close) {
            at++;
            return self;
        }
        for (;;) {
            uint32_t name = 0, name_size = 0;
            if (c == '{') {
                skip_space();
                if (text[at++] != '"' || !scan_string(&name, &name_size))
                    return 0;
                skip_space();
                if (text[at++] != ':')
                    return 0;
            }
            uint32_t child = parse();
            if (child == 0)
                return 0;
            nodes[child].name = name;
            nodes[child].name_size = name_size;
            *link = child;
            link = &nodes[child].next;
            skip_space();
            if (text[at] == close) {
                at++;
                return self;
            }
            if (text[at++] != ',')
                return 0;
        }
    }
    case '"':
        at++;
        node->kind = STRING;
        return scan_string(&node->text, &node->text_size) ? self : 0;
    case 't':
        node->kind = BOOLEAN;
        node->value = 1;
        return word("true") ? self : 0;
    case 'f':
        node->kind = BOOLEAN;
        return word("false") ? self : 0;
    case 'n':
        node->kind = NIL;
        return word("null") ? self : 0;
    default:
        if (c != '-' && (c < '0' || c > '9'))
            return 0;
        node->kind = NUMBER;
        node->value = scan_number();
        return self;
    }
}

static int is_named(const struct node *node, const char *name) {
    uint32_t i = 0;
    for (; i < node->name_size; i++)
        if (name[i] != text[node->name + i])
            return 0;
    return name[i] == 0;
}

int64_t run(int32_t n) {
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        uint32_t total = write_text((uint32_t)round + 1), found = 0, records = 0;
        at = 0;
        node_count = 1;
        uint32_t root = parse();
        if (root == 0 || at != text_size)
            return KERNEL_FAILED;
        for (uint32_t record = nodes[root].child; record != 0; record = nodes[record].next) {
            records++;
            for (uint32_t field = nodes[record].child; field != 0; field = nodes[field].next)
                if (is_named(&nodes[field], "value"))
                    found += (uint32_t)(nodes[field].value * 100 + 0.5);
        }
        if (records != RECORDS || found != total || node_count != 2 + RECORDS * 10)
            return KERNEL_FAILED;
        sum = kernel_fold(sum, found + text_size);
    }
    return (int64_t)sum;
}
