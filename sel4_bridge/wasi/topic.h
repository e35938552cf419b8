/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics as files: /mqtt/out/<topic> publishes, /mqtt/in/<topic> subscribes.
 *
 * Contract: a topic is a path below the preopened directory /mqtt and belongs under the device's own prefix, which the
 * agent adds. It has no wildcards; those of the policy's filters are MQTT's. Each write is one message of at most
 * SB_MAIL_DATA_MAX bytes; a read gives bytes of one message, the next read goes on in it. Both wait, unless the
 * descriptor is non-blocking. Source: MQTT 5.0, section 4.7.
 */
#pragma once

#include "slot.h"

/* Whether the topic matches one of the policy's strings that begin with `word` ("publish=" or "subscribe="). */
bool sb_topic_granted(const struct sb_wasi_slot *slot, const char *word, struct sb_name topic);

/* The directory /mqtt, where the policy names a topic. */
bool sb_topics_preopen(struct sb_wasi_slot *slot);

/* path_open in that directory. ENOTCAPABLE: not granted, EISDIR: "in" or "out" themselves. */
uint16_t sb_topic_open(struct sb_wasi_slot *slot, struct sb_in path, uint32_t oflags, uint64_t rights, uint32_t fdflags,
                       uint32_t *opened);
