/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translator's output: a window of operations that may still change, and behind it the code.
 *
 * Leaving the window, the longest sequence of operations that the trie knows becomes one instruction. In a dry run
 * positions advance the same way but nothing is written.
 */
#include "compact.h"
#include "translate.h"

EE_COMPACT

#define EE_MAX_INSTRUCTION 256u /* bytes, of the longest superinstruction */

static uint32_t operand_size(uint32_t kind)
{
    return kind == EE_OPERAND_16 ? 2 : kind == EE_OPERAND_64 ? 8 : 4;
}

static void put(struct ee_translator *t, uint64_t value, uint32_t size)
{
    if (!t->dry)
        memcpy(t->code + t->position, &value, size);
    t->position += size;
}

static int32_t distance(uint32_t operand, uint32_t target) { return (int32_t)(target - operand); }

void ee_patch(struct ee_translator *t, uint32_t operand, uint32_t target)
{
    int32_t value = distance(operand, target);
    if (!t->dry)
        memcpy(t->code + operand, &value, 4);
}

/* Unresolved branch operands to one label form a list through the operands themselves. */
void ee_patch_chain(struct ee_translator *t, uint32_t operand, uint32_t target)
{
    while (!t->dry && operand != EE_NO_INDEX) {
        uint32_t next;
        memcpy(&next, t->code + operand, 4);
        ee_patch(t, operand, target);
        operand = next;
    }
}

void ee_write_label(struct ee_translator *t, uint64_t label)
{
    uint32_t value = EE_NO_INDEX;
    if (label != EE_LABEL_PRIVATE) {
        struct ee_block *block = ee_block_at(t, (uint32_t)label);
        if (block->kind == EE_BLOCK_LOOP) {
            value = (uint32_t)distance(t->position, block->label);
        } else {
            value = block->label;
            block->label = t->position;
        }
    }
    put(t, value, 4);
}

static struct ee_pending *pending(struct ee_translator *t, uint32_t index)
{
    return &t->window[(t->first + index) % EE_WINDOW];
}

/* The child that an operation leads to; 0: there is none. */
static uint32_t follow(uint32_t node, uint32_t operation)
{
    uint32_t low = ee_node_children[node], high = ee_node_children[node + 1], end = high;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (ee_node_operations[middle] < operation)
            low = middle + 1;
        else
            high = middle;
    }
    return low != end && ee_node_operations[low] == operation ? low : 0;
}

/* Length of the longest known sequence at the window's front; its handler's word. */
static uint32_t match(struct ee_translator *t, uint16_t *word)
{
    uint32_t node = 0, best = 1;
    uint16_t none = ee_handler_word(t->in, 0); /* of nodes that are only the beginning of longer sequences */
    *word = ee_handler_word(t->in, pending(t, 0)->operation);
    for (uint32_t length = 0; length < t->count; length++) {
        node = follow(node, pending(t, length)->operation);
        if (node == 0)
            break;
        uint16_t found = node < EE_FIRST_LONG_NODE ? none : ee_handler_word(t->in, EE_DO_COUNT + node - EE_FIRST_LONG_NODE);
        if (found != none) {
            best = length + 1;
            *word = found;
        }
    }
    return best;
}

/* Does the instruction at this place read or write memory? Loads, stores, and the prefixes of bulk and vector ones. */
static bool is_access(const struct ee_translator *t, uint32_t source)
{
    uint8_t opcode = t->module->bytes[source];
    return (opcode >= EE_OP_I32_LOAD && opcode <= EE_OP_I64_STORE32) || opcode == 0xfc || opcode == 0xfd;
}

static void emit(struct ee_translator *t)
{
    if (t->full || t->room - t->position < EE_MAX_INSTRUCTION) {
        t->full = true;
        t->first = (t->first + t->count) % EE_WINDOW;
        t->count = 0;
        return;
    }
    uint16_t word;
    uint32_t length = match(t, &word);
    uint32_t begin = t->position;
    bool looking = false;
    put(t, word, EE_HANDLER_BYTES);
    for (uint32_t n = 0; n < length; n++) {
        struct ee_pending *p = pending(t, 0);
        uint32_t layout = ee_operand_layout(p->operation);
        for (uint32_t i = 0; i < p->count; i++, layout >>= 4) {
            if ((layout & 15) == EE_OPERAND_LABEL)
                ee_write_label(t, p->operands[i]);
            else
                put(t, p->operands[i], operand_size(layout & 15));
        }
        uint32_t end = t->position > begin ? t->position : begin + 1;
        if (t->dry && t->found == EE_NO_INDEX && t->wanted >= begin && t->wanted < end) {
            t->found = p->source;
            looking = t->is_access;
        }
        if (looking && is_access(t, p->source)) {
            t->found = p->source;
            looking = false;
        }
        begin = t->position;
        t->first = (t->first + 1) % EE_WINDOW;
        t->count--;
    }
}

uint32_t ee_append(struct ee_translator *t, uint16_t operation, uint8_t count, const uint64_t *operands)
{
    if (t->count == EE_WINDOW)
        emit(t);
    struct ee_pending *p = pending(t, t->count++);
    p->operation = operation;
    p->count = count;
    p->source = t->source;
    for (uint32_t i = 0; i < count; i++)
        p->operands[i] = operands[i];
    return t->serial++;
}

void ee_flush(struct ee_translator *t)
{
    while (t->count != 0)
        emit(t);
}

bool ee_is_last(const struct ee_translator *t, uint32_t serial) { return t->count != 0 && serial + 1 == t->serial; }

bool ee_in_window(const struct ee_translator *t, uint32_t serial) { return t->serial - serial <= t->count; }

void ee_also_store(struct ee_translator *t, uint32_t serial, uint32_t slot)
{
    struct ee_pending *p = pending(t, t->count - (t->serial - serial));
    p->operation++;
    p->operands[p->count++] = EE_SLOT(slot);
}

bool ee_take_eqz(struct ee_translator *t, uint32_t *slot)
{
    const struct ee_pending *last = pending(t, t->count - 1);
    if (t->count == 0 || (last->operation != EE_DO_i32_eqz_s_a && last->operation != EE_DO_i32_eqz_a_a))
        return false;
    *slot = last->operation == EE_DO_i32_eqz_s_a ? (uint32_t)(last->operands[0] / 8) : EE_NO_SLOT;
    t->count--;
    t->serial--;
    return true;
}

void ee_swap_last(struct ee_translator *t)
{
    struct ee_pending *last = pending(t, t->count - 1), *before = pending(t, t->count - 2);
    struct ee_pending swap = *last;
    *last = *before;
    *before = swap;
}

EE_COMPACT_END
