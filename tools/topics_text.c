/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of `describe`, see topics_text.h. */
#include "tools/topics_text.h"

#include <string.h>

static void print_ids(const int32_t *ids, size_t count, struct buffer *out)
{
    for (size_t i = 0; i < count; i++)
        buffer_print(out, "%s%d", i > 0 ? "," : "", (int)ids[i]);
}

static bool filter_shows_all(const struct topics_filter *filter)
{
    return !filter->under_replicated && !filter->unavailable && !filter->under_min_isr && !filter->at_min_isr;
}

static bool filter_passes(const struct topics_filter *filter, const struct topic_view *view,
                          const struct partition_view *partition)
{
    int64_t isr = (int64_t)partition->isr_count;
    return filter_shows_all(filter) ||
           (filter->under_replicated && partition->isr_count < partition->replica_count) ||
           (filter->unavailable && (partition->leader < 0 || !partition->leader_is_alive)) ||
           (filter->under_min_isr && isr < view->min_insync_replicas) ||
           (filter->at_min_isr && isr == view->min_insync_replicas);
}

static void print_header(const struct topic_view *view, enum topics_layout layout, struct buffer *out)
{
    const char *blank = layout == TOPICS_LAYOUT_1_0 ? "" : " ";
    buffer_print(out, "Topic:%s%s", blank, view->name);
    if (layout == TOPICS_LAYOUT_3_9 && view->id != NULL)
        buffer_print(out, "\tTopicId: %s", view->id);
    buffer_print(out, "\tPartitionCount:%s%zu", blank, view->partition_count);
    buffer_print(out, "\tReplicationFactor:%s%zu", blank,
                 view->partition_count > 0 ? view->partitions[0].replica_count : 0);
    buffer_print(out, "\tConfigs:%s%s", blank, view->settings);
    if (view->marked_for_deletion)
        buffer_print(out, "\tMarkedForDeletion:%strue", blank);
    buffer_append_string(out, "\n");
}

void topic_view_print(const struct topic_view *view, const struct topics_filter *filter,
                      enum topics_layout layout, struct buffer *out)
{
    bool shows_all = filter_shows_all(filter);
    if (filter->with_overrides && view->settings[0] == '\0')
        return;
    if (shows_all)
        print_header(view, layout, out);
    for (size_t i = 0; i < view->partition_count && !filter->with_overrides; i++) {
        const struct partition_view *partition = &view->partitions[i];
        if (!filter_passes(filter, view, partition))
            continue;
        buffer_print(out, "\tTopic: %s\tPartition: %d\tLeader: ", view->name, (int)partition->partition);
        if (partition->leader < 0)
            buffer_append_string(out, "none");
        else
            buffer_print(out, "%d", (int)partition->leader);
        buffer_append_string(out, "\tReplicas: ");
        print_ids(partition->replicas, partition->replica_count, out);
        buffer_append_string(out, "\tIsr: ");
        print_ids(partition->isr, partition->isr_count, out);
        if (view->marked_for_deletion && !shows_all)
            buffer_append_string(out, "\tMarkedForDeletion: true");
        buffer_append_string(out, "\n");
    }
}

const char *topic_collision_warning(const char *name)
{
    if (strpbrk(name, "._") == NULL)
        return NULL;
    return "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') "
           "could "
           "collide. To avoid issues it is best to use either, but not both.";
}
