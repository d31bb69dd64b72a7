/* SPDX-License-Identifier: Apache-2.0 */
/* The table of switches. */
#include "tests/sim/switches.h"

#include <string.h>

#define LINE_MAX_COLUMNS 100

struct entry {
    struct sim_switch told;
    size_t offset; /* of the flag in struct sim_options */
};

#define PARTITION(flag) offsetof(struct sim_options, partition_faults.flag)
#define CONTROLLER(flag) offsetof(struct sim_options, controller_faults.flag)
#define WORLD(flag) offsetof(struct sim_options, world_faults.flag)

static const struct entry entries[] = {
    {{.name = "clean-mark-kept",
      .invariant = "I8",
      .rule = "the mark of a clean stop is removed at the start",
      .lossy = true},
     WORLD(clean_mark_kept)},
    {{.name = "no-fetch-epochs",
      .invariant = "I14, I17",
      .rule = "fetches and their answers carry leader epochs"},
     PARTITION(ignore_fetch_epochs)},
    {{.name = "truncate-to-high-watermark",
      .invariant = "I15",
      .rule = "a follower truncates to where the logs diverge"},
     PARTITION(truncate_to_high_watermark)},
    {{.name = "no-replica-epoch",
      .invariant = "I17",
      .rule = "a fetch of a replica's former life does not count",
      .lossy = true},
     PARTITION(ignore_replica_epoch)},
    {{.name = "high-watermark-first",
      .invariant = "I18",
      .rule = "an answer that tells a divergence moves no high watermark"},
     PARTITION(high_watermark_before_truncation)},
    {{.name = "unconfirmed-isr", .invariant = "I19", .rule = "the high watermark waits for the maximal ISR"},
     PARTITION(count_unconfirmed_isr)},
    {{.name = "no-barrier", .invariant = "I19", .rule = "a refusal in doubt is followed by a barrier"},
     PARTITION(no_barrier)},
    {{.name = "no-min-isr", .invariant = "I20", .rule = "nothing is committed below min.insync.replicas"},
     PARTITION(ignore_min_isr)},
    {{.name = "any-leadership",
      .invariant = "I21",
      .rule = "who waits is answered by the leadership that appended"},
     PARTITION(acknowledge_any_epoch)},
    {{.name = "no-durability",
      .invariant = "flush",
      .rule = "with flush.messages an acknowledgement waits for the disk",
      .lossy = true,
      .flush = true},
     PARTITION(ignore_durability)},
    {{.name = "serve-uncommitted", .invariant = "I22", .rule = "consumers read below the high watermark"},
     PARTITION(serve_uncommitted)},
    {{.name = "no-epoch-start",
      .invariant = "I24",
      .rule = "who joins the ISR has reached the start of the leader's epoch"},
     PARTITION(ignore_epoch_start)},
    {{.name = "isr-by-id", .invariant = "I25", .rule = "a seat belongs to a broker epoch", .lossy = true},
     CONTROLLER(isr_by_id)},
    {{.name = "no-elr", .invariant = "I25", .rule = "who leaves a small ISR stays eligible", .lossy = true},
     CONTROLLER(no_eligible)},
    {{.name = "unclean-election", .invariant = "I27", .rule = "a leader comes from the ISR"},
     CONTROLLER(unclean_always)},
    {{.name = "forget-proposal", .invariant = "I28", .rule = "a proposal without an answer is repeated"},
     PARTITION(forget_proposal)},
    {{.name = "unfenced", .invariant = "I29", .rule = "the controller's writes check its epoch"},
     CONTROLLER(unfenced_writes)},
    {{.name = "skip-reconciliation",
      .invariant = "I31",
      .rule = "a new controller looks at the seats of former lives"},
     CONTROLLER(skip_reconciliation)},
    {{.name = "any-controller-epoch", .invariant = "I32", .rule = "brokers refuse a former controller"},
     PARTITION(ignore_controller_epoch)},
    {{.name = "any-broker-epoch",
      .invariant = "I32",
      .rule = "brokers refuse what was meant for their former lives"},
     PARTITION(ignore_broker_epoch)},
    {{.name = "any-partition-epoch",
      .invariant = "I32",
      .rule = "an older state of the same leader epoch is refused"},
     PARTITION(ignore_partition_epoch)},
    {{.name = "forget-messages", .invariant = "I33", .rule = "a message is repeated until it is answered"},
     CONTROLLER(forget_messages)},
    {{.name = "forget-writes",
      .invariant = "I34",
      .rule = "an event is done only when its effect is written"},
     CONTROLLER(forget_writes)},
    {{.name = "keep-leader-epoch",
      .invariant = "I35",
      .rule = "every change of leader raises the leader epoch"},
     CONTROLLER(keep_leader_epoch)},
    {{.name = "no-topic-id", .invariant = "I35", .rule = "a log belongs to a topic id, not to a name"},
     PARTITION(ignore_topic_id)},
    {{.name = "stop-part-way", .invariant = "I36", .rule = "a deletion waits for the brokers that are away"},
     CONTROLLER(stop_part_way)},
    {{.name = "accept-overtaken",
      .invariant = "I36",
      .rule = "a message that a later one has overtaken counts no more"},
     PARTITION(accept_overtaken)},
    {{.name = "keep-strays", .invariant = "I36", .rule = "a log whose topic is no more is set aside"},
     PARTITION(keep_strays)},
    {{.name = "strike-twice",
      .invariant = "I38",
      .rule = "a deletion in doubt spares the next topic of its name"},
     CONTROLLER(strike_twice)},
    {{.name = "refuse-unknown",
      .invariant = "I38",
      .rule = "a write without an answer is not taken for refused"},
     CONTROLLER(refuse_unknown)},
    {{.name = "read-before-write", .invariant = "I40", .rule = "a new controller reads after its election"},
     CONTROLLER(read_before_write)},
};

size_t sim_switch_count(void)
{
    return ARRAY_SIZE(entries);
}

const struct sim_switch *sim_switch_at(size_t index)
{
    return &entries[index].told;
}

const struct sim_switch *sim_switch_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (strcmp(entries[i].told.name, name) == 0)
            return &entries[i].told;
    return NULL;
}

void sim_switch_set(struct sim_options *options, const struct sim_switch *which)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        if (&entries[i].told == which)
            *(bool *)((char *)options + entries[i].offset) = true;
}

void sim_switch_tell(struct buffer *out)
{
    size_t column = 0;
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        size_t length = strlen(entries[i].told.name);
        if (i == 0 || column + length + 2 > LINE_MAX_COLUMNS) {
            buffer_append_string(out, i == 0 ? "                   " : ",\n                   ");
            column = 19;
        } else {
            buffer_append_string(out, ", ");
            column += 2;
        }
        buffer_append_string(out, entries[i].told.name);
        column += length;
    }
    buffer_append_string(out, "\n");
}
