/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All partitions of this broker: carries out the controller's messages (leader-and-isr, stop replica), looks
 * partitions up for requests, keeps the periodic work (ISR ticks, checkpoints) and hands ISR proposals on.
 *
 * Threads: lookups and checkpoints from any thread. Control messages and ticks come from one thread (the
 * replica worker), so they are carried out in the order of their arrival.
 */
#ifndef BROKER_REPLICA_REPLICA_MANAGER_H
#define BROKER_REPLICA_REPLICA_MANAGER_H

#include "broker/log/log_manager.h"
#include "broker/replica/partition.h"
#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"
#include "proto/control/control.h"

struct replica_manager;

/* Where the replica manager turns to; filled in by the server (or the simulator). */
struct replica_host {
    /* The partition follows `leader` from now on: (re)start its fetching. Takes over nothing: acquire what is
     * kept. */
    void (*follow)(struct replica_host *host, struct partition *partition, int32_t leader);
    /* It follows no more. */
    void (*unfollow)(struct replica_host *host, struct partition *partition);
    /* The partition has an ISR proposal to be sent. From any thread, no lock held. */
    void (*proposal_wanted)(struct replica_host *host, struct partition *partition);
    /* The partition's log is to be flushed (struct partition_host). From any thread, no lock held. NULL:
     * nobody flushes. */
    void (*flush_wanted)(struct replica_host *host, struct partition *partition, enum flush_urgency urgency);
    /* A partition's log has failed (struct partition_host): the controller is to ask what is served. NULL:
     * nobody is told. */
    void (*log_failed)(struct replica_host *host, struct partition *partition);
    /* The log settings and min.insync.replicas that result from a topic's own settings. */
    void (*topic_settings)(struct replica_host *host, const struct control_setting *settings, size_t count,
                           struct log_settings *log_settings, int32_t *min_insync_replicas);
};

struct replica_manager_options {
    int32_t broker_id;
    struct log_manager *logs;
    struct logger *logger;
    struct replica_host *host;
    int64_t replica_lag_time_max_ms;
    struct partition_faults faults;
};

struct replica_manager *replica_manager_new(const struct replica_manager_options *options);
/* Closes all partitions; the logs stay the log manager's. */
void replica_manager_free(struct replica_manager *manager);

/* The log manager that it was made with. */
struct log_manager *replica_manager_logs(struct replica_manager *manager);

/* Our broker epoch changes with every registration; control messages for another one are refused (I32). */
void replica_manager_set_broker_epoch(struct replica_manager *manager, int64_t broker_epoch);
int64_t replica_manager_broker_epoch(struct replica_manager *manager);

/*
 * The broker is about to stop, from any thread: what the controller has taken it out of the ISR of it copies
 * no more. A leader that saw it keep up would propose to have it back, and hold the high watermark for a
 * replica that is gone a moment later.
 */
void replica_manager_leave(struct replica_manager *manager);

/*
 * Whether a message with these epochs and this number may be carried out: KAFKA_NONE,
 * KAFKA_STALE_CONTROLLER_EPOCH (also where the same controller's later message came first), or
 * KAFKA_STALE_BROKER_EPOCH. Remembers the highest controller epoch, and in it the highest number.
 */
int16_t replica_manager_check_epochs(struct replica_manager *manager, int32_t controller_epoch,
                                     int64_t broker_epoch, int64_t sequence);

/*
 * Carries out the message. The response's partitions are allocated in `arena`; its slices point into the
 * request.
 */
void replica_manager_leader_and_isr(struct replica_manager *manager,
                                    const struct leader_and_isr_request *request, int64_t now_ms,
                                    struct arena *arena, struct control_response *response);
void replica_manager_stop_replica(struct replica_manager *manager, const struct stop_replica_request *request,
                                  struct arena *arena, struct control_response *response);
/*
 * Removes replicas that are not assigned to this broker any more, from a metadata update: a move has ended,
 * now or while the broker was away. Only where the topic ids agree, somebody else leads, and this broker is
 * not in the ISR. What the disk keeps from being removed is remembered and tried again by the ticks, until
 * this broker becomes a replica again.
 */
void replica_manager_drop_departed(struct replica_manager *manager, const struct control_topic *topic);
/*
 * Sets aside the logs of topics that are no more: their replicas had left this broker, and the topics were
 * deleted before it heard of either. Only by a full and complete metadata update, and only logs with a topic
 * id, which it does not name. Each gets one line; the folders, renamed to -stray, are opened by no start and
 * are the operator's to remove.
 */
void replica_manager_set_strays_aside(struct replica_manager *manager,
                                      const struct update_metadata_request *update);
/* New settings of topics, from a metadata update. */
void replica_manager_configure(struct replica_manager *manager, const struct control_topic *topic);

/* A reference for the caller (partition_release), or NULL. */
struct partition *replica_manager_find(struct replica_manager *manager, struct slice topic,
                                       int32_t partition);

/* Whether the partition has a log here that has been offline since the start, or found no room to be opened:
 * there is no partition then. */
bool replica_manager_is_offline(struct replica_manager *manager, struct slice topic, int32_t partition);

/* Calls visit for every partition (a reference is held meanwhile), outside the table's lock. */
void replica_manager_each(struct replica_manager *manager,
                          void (*visit)(void *context, struct partition *partition), void *context);

/* ISR ticks of all partitions, and another try to remove what has moved away; call every
 * replica.lag.time.max.ms / 2 or more often. */
void replica_manager_tick(struct replica_manager *manager, int64_t now_ms);
/* Writes the replication-offset-checkpoint of one log directory, or of all (LOG_DIRECTORIES_ALL). Waits for
 * the disk; any thread: a partition made anew does not get the former one's. 0 or the first -errno. */
int replica_manager_checkpoint_high_watermarks(struct replica_manager *manager, size_t directory);
/* Likewise the recovery-point and log-start checkpoints. */
int replica_manager_checkpoint_recovery(struct replica_manager *manager, size_t directory);

#endif
