/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the controller knows: live brokers, topics, partitions and their states, as last read from ZooKeeper
 * or as last written to it (I30). The image only remembers; it decides nothing. Pure.
 *
 * Every partition that changes gets the next number of one sequence and moves to the end of the list of
 * changes. A channel to a broker remembers up to which number it has told; so what it has to tell is found
 * from the end of the list, and nothing has to be marked for each broker.
 */
#ifndef COORDINATOR_CONTROLLER_IMAGE_H
#define COORDINATOR_CONTROLLER_IMAGE_H

#include "common/buffer.h"
#include "common/list.h"
#include "common/map.h"
#include "common/uuid.h"
#include "coordinator/membership/roster.h"
#include "coordinator/zk/node_config.h"
#include "coordinator/zk/node_partition_state.h"
#include "coordinator/zk/node_topic.h"

struct image_topic;

/* How the log directory of a broker serves a replica. */
enum replica_disk {
    REPLICA_DISK_SERVES,
    REPLICA_DISK_FULL,  /* reads go on, appends are refused */
    REPLICA_DISK_FAILED /* offline */
};

struct image_partition {
    struct image_topic *topic;
    int32_t number;
    struct node_assignment assignment; /* as in the topic's znode */

    bool state_known; /* false: not read yet; nothing is decided */
    bool has_state;   /* the state znode exists */
    bool state_lost;  /* it existed and does not any more: `state` is the last that was known */
    struct node_partition_state state;
    int32_t version;  /* of the state znode: the partition epoch */
    bool node_exists; /* …/partitions/<p> is believed to be there */

    /* The decision about it: see decide.h and the shell. */
    bool dirty;           /* in image.urgent or image.dirty: to be decided */
    bool urgent;          /* in the former */
    bool unsettled;       /* the state does not fit the live brokers: no broker is told of it (I31) */
    bool busy;            /* a read or write of its state is in flight */
    bool withheld;        /* a message went out without it because it was unsettled */
    struct list requests; /* alter-partition items that wait for it; the shell's */

    /* Brokers whose disk does not serve their replica as it should, as they have answered, each with the life
     * in which it said so. Memory only: a new controller hears it in the answers to its first messages. */
    struct image_disk {
        int32_t broker_id;
        int64_t broker_epoch;
        enum replica_disk disk;
    } * disks;
    size_t disks_count;

    /* Where logs end, as brokers answered when they were told that nobody leads: see decide.h. Memory only.
     */
    struct image_end {
        int32_t broker_id;
        int64_t broker_epoch;
        int32_t leader_epoch; /* of the state that was told */
        int32_t last_epoch;   /* -1: an empty log */
        int64_t end_offset;
    } * ends;
    size_t ends_count;

    /* Brokers that were alive when the partition was created, in this term, and have not said yet that they
     * have a log for it: in that life an empty one is no surprise. */
    struct image_new {
        int32_t broker_id;
        int64_t broker_epoch; /* -1: any; a replica that a move adds is new until it has been taken */
    } * new_on;
    size_t new_on_count;

    int32_t *deleted_on; /* brokers that have removed their replica; only while the topic is deleted */
    size_t deleted_on_count;

    struct image_move *move; /* asked for and not written yet; NULL: none. See shell_reassign.c */
    bool owed; /* the znode of old tools still names what a client has replaced: the client waits */

    uint64_t sequence;            /* of its last change: metadata */
    uint64_t leader_isr_sequence; /* of its last change that replicas must hear of */
    struct list changes;          /* node in image.changes */
    struct list dirty_node;       /* node in image.urgent or image.dirty */
};

struct image_topic {
    char *name;
    struct uuid topic_id;
    bool has_id;
    int32_t version;                     /* of the topic's znode */
    struct image_partition **partitions; /* sorted by number */
    size_t partition_count;
    struct node_config config;
    bool config_known;
    bool partitions_node_exists; /* …/partitions is believed to be there */
    bool deleting;               /* /admin/delete_topics/<t> exists, and deletion is enabled */
    uint64_t deletion_sequence;  /* of the change that took it from the brokers' metadata */
    struct list moving;          /* node in image.moving */
    bool has_departed;           /* replicas have left it, in this term: their brokers are to hear of it */
    bool assignment_busy;        /* a write of the assignment is in flight: nothing of it is decided */
    bool assignment_unknown;     /* one has had no answer, and the znode is still to be read: likewise */
};

/* Where the replicas of a partition are to go, on behalf of a request. */
struct image_move {
    struct node_replicas target;
    bool cancel;      /* back to the origin; no target */
    bool by_node;     /* /admin/reassign_partitions asks for it */
    uint64_t request; /* who asks */
    int16_t error;    /* why it cannot be; else NONE while it waits to be written */
};

/* A topic that brokers must forget; told up to the sequence, like changes. */
struct image_removed {
    struct list node;
    char *name;
    struct uuid topic_id;
    uint64_t sequence;
};

struct image {
    struct roster brokers;
    struct map *topics; /* name -> image_topic, in order of discovery */
    uint64_t sequence;
    uint64_t brokers_sequence; /* of the last change of the set of live brokers */
    struct list changes;       /* image_partition by ascending sequence */
    struct list removed;       /* image_removed by ascending sequence */
    struct list urgent; /* image_partition to be decided first: nobody serves it until brokers are told */
    struct list dirty;  /* others to be decided */
    struct list moving; /* image_topic whose moves are to be looked at */
    size_t partition_count;
    /* In this term a topic could not be read, or had no id: there are topics of which the id is not here. */
    bool is_partial;
    /* Brokers that are about to stop, with the epoch that is; their leaderships move away. Memory only: a new
     * controller is asked again. */
    struct image_shutdown {
        int32_t broker_id;
        int64_t broker_epoch;
    } * shutdowns;
    size_t shutdown_count;
    size_t shutdown_capacity;
};

void image_init(struct image *image);
void image_release(struct image *image);

/* Live brokers. Setting or removing one numbers the change; false: nothing has changed (or an old answer).
 * Takes over what `node` owns, in any case. */
bool image_set_broker(struct image *image, int32_t broker_id, int64_t broker_epoch, struct node_broker *node);
bool image_remove_broker(struct image *image, int32_t broker_id);
/* The epoch of a live broker; -1: it is not alive. */
int64_t image_broker_epoch(const struct image *image, int32_t broker_id);
/* The registered broker says that its logs have lost nothing of what they held in a life of this epoch. */
bool image_broker_is_intact_since(const struct image *image, int32_t broker_id, int64_t broker_epoch);

void image_mark_shutdown(struct image *image, int32_t broker_id, int64_t broker_epoch);
/* It has asked to stop, in its present life. */
bool image_is_shutting_down(const struct image *image, int32_t broker_id);

/* What the broker has answered about the disk under its replica; the partition is then dirty, and told as a
 * change of metadata where it was or is offline. False: that was known. */
bool image_set_replica_disk(struct image *image, struct image_partition *partition, int32_t broker_id,
                            enum replica_disk disk);
/* The same, as said in its present life. */
enum replica_disk image_replica_disk(const struct image *image, const struct image_partition *partition,
                                     int32_t broker_id);
/* What the broker has answered about its log while nobody leads; the partition is then dirty. */
void image_note_log_end(struct image *image, struct image_partition *partition, int32_t broker_id,
                        int32_t leader_epoch, int32_t last_epoch, int64_t end_offset);
/* The same, as said in its present life and in the present leader epoch, which has no leader; else NULL. */
const struct image_end *image_log_end(const struct image *image, const struct image_partition *partition,
                                      int32_t broker_id);
/* The broker has a log for its replica now. */
void image_note_replica_taken(struct image_partition *partition, int32_t broker_id);
/* It never had one, in its present life. */
bool image_is_replica_new(const struct image *image, const struct image_partition *partition,
                          int32_t broker_id);
/* The broker is alive, and its disk has its replica. */
bool image_can_serve(const struct image *image, const struct image_partition *partition, int32_t broker_id);

struct image_topic *image_find_topic(const struct image *image, struct slice name);
struct image_topic *image_find_topic_by_id(const struct image *image, struct uuid topic_id);
/* A topic without partitions. */
struct image_topic *image_add_topic(struct image *image, struct slice name);
/* Forgets a topic; brokers are told that it is gone. */
void image_remove_topic(struct image *image, struct image_topic *topic);
/* Takes over id and assignment of a znode: adds partitions, drops those that are not in it. */
void image_set_topic(struct image *image, struct image_topic *topic, const struct node_topic *node,
                     int32_t version);
/* The topic vanishes from the brokers' metadata while its replicas are being removed. */
void image_begin_deletion(struct image *image, struct image_topic *topic);
struct image_partition *image_find_partition(const struct image_topic *topic, int32_t number);
/* Its assignment is being written, or nobody knows what has been: who has left it may have removed its log,
 * and must not get a seat from a state that is decided by the assignment of before (I23). */
bool image_is_assignment_open(const struct image_topic *topic);
/* The topic with this name, and its partition; NULL: there is none. */
struct image_partition *image_partition_of(const struct image *image, struct slice topic, int32_t number);

/* The state as read or written; NULL: the znode is not there. False: that is what was known. */
bool image_set_state(struct image *image, struct image_partition *partition,
                     const struct node_partition_state *state, int32_t version);

/* Numbers a change: metadata only, or also what replicas must hear. */
void image_touch(struct image *image, struct image_partition *partition, bool leader_and_isr);
/* Brokers are told of every partition of the topic (its settings have changed). */
void image_touch_topic(struct image *image, struct image_topic *topic);
/* To be decided (again). Before the others where no live broker leads that is to stay, or where a decision
 * has been written that brokers have not been told of. */
void image_mark_dirty(struct image *image, struct image_partition *partition);
/* The same for all in which a broker has a seat, a leadership or a replica. */
void image_mark_dirty_of_broker(struct image *image, int32_t broker_id);
void image_clear_dirty(struct image_partition *partition);
/* Something is to be decided. */
bool image_has_dirty(const struct image *image);
/* Forgets removals that every channel has told of. */
void image_trim_removed(struct image *image, uint64_t told);

/* The moves of the topic are to be looked at. */
void image_mark_moving(struct image *image, struct image_topic *topic);
/* Replaces what was asked for; NULL: nothing is. Takes over what `move` owns. */
void image_set_move(struct image *image, struct image_partition *partition, const struct image_move *move);

bool node_replicas_contains(const struct node_replicas *replicas, int32_t broker_id);

/* One line a broker, topic and partition, sorted: for failure reports and operators. */
void image_dump(const struct image *image, struct buffer *out);

#endif
