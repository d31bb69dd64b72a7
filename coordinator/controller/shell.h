/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller from inside: what the files of its shell share. Only they include this.
 *
 *   controller.c      the public functions, and the order of work
 *   shell_request.c   requests to ZooKeeper that may outlive a term or the controller
 *   shell_election.c  competing for office, taking and leaving it
 *   shell_look.c      reading: every read is a "look", repeated until it has been answered
 *   shell_apply.c     what a look has shown goes into the image
 *   shell_write.c     decisions and accepted ISR changes become fenced multis
 *   shell_topic.c     a topic's own znodes: repairing and deleting them
 *   shell_channel.c   messages to brokers
 *   shell_directory.c log directories that fail, and are well again
 *   shell_elect.c     elections on request, and the balancing of leaderships
 *   shell_reassign.c  moves of replicas; shell_reassign_node.c: those that old tools ask for
 *   shell_broker.c    requests of brokers
 *   shell_progress.c  says in the log how long a change of brokers or of office took
 *   admin*.c          requests of clients
 */
#ifndef COORDINATOR_CONTROLLER_SHELL_H
#define COORDINATOR_CONTROLLER_SHELL_H

#include "common/arena.h"
#include "coordinator/controller/controller.h"
#include "coordinator/controller/decide.h"
#include "coordinator/controller/elect.h"
#include "coordinator/controller/image.h"
#include "coordinator/controller/push.h"
#include "coordinator/zk/node_admin.h"

enum office {
    OFFICE_OUT,       /* no session, or not started */
    OFFICE_FOLLOWING, /* somebody else is in office, or about to be */
    OFFICE_LOADING,   /* elected; the state is being read */
    OFFICE_IN
};

/*
 * A request to ZooKeeper. Its completion is forgotten when the term in which it was made is over (any_term:
 * only when the controller is gone); `release` then frees the payload all the same.
 */
struct shell_request {
    struct list node; /* in controller.requests */
    struct controller *controller;
    uint64_t term;
    bool any_term;
    void (*done)(struct controller *controller, void *payload, const struct zk_response *response);
    void (*release)(void *payload); /* may be NULL */
    void *payload;
};

enum look_kind {
    LOOK_BROKERS,            /* children of /brokers/ids */
    LOOK_BROKER,             /* number: the broker */
    LOOK_TOPICS,             /* children of /brokers/topics */
    LOOK_TOPIC,              /* name */
    LOOK_CONFIG,             /* name: the topic's settings */
    LOOK_CONFIG_CHANGES,     /* children of /config/changes */
    LOOK_CONFIG_CHANGE,      /* name: the notification */
    LOOK_DELETIONS,          /* children of /admin/delete_topics */
    LOOK_DIRECTORY_EVENTS,   /* children of /log_dir_event_notification */
    LOOK_DIRECTORY_EVENT,    /* name: the notification */
    LOOK_PREFERRED_ELECTION, /* /admin/preferred_replica_election */
    LOOK_REASSIGNMENTS,      /* /admin/reassign_partitions */
    LOOK_STATE               /* name, number: a partition's state */
};

/* Something to be read. It exists until ZooKeeper has answered and nothing asked again meanwhile. */
struct look {
    struct list node; /* in controller.looks_waiting, or unlinked while in flight */
    enum look_kind kind;
    char *name;
    int32_t number;
    bool in_flight;
    bool again;
    bool periodic; /* only the periodic comparison has asked: a difference is a miss */
    int64_t not_before_ms;
};

struct channel {
    struct push_channel push;
    uint64_t token;  /* of the message in flight; 0: none */
    bool complained; /* the log has been told of a refusal, since the last success */
    bool failing;    /* the last message was refused or not answered: nobody waits for this broker */
    int64_t not_before_ms;
    int64_t stop_not_before_ms; /* the same, of stop-replica alone */
    int64_t stop_backoff_ms;    /* doubles while replicas cannot be removed; 0: all is well */
    bool repeats;               /* some partitions it could not take: all are told again at repeat_at_ms */
    bool asks_all;              /* the leader-and-ISR in flight tells all */
    int64_t repeat_at_ms;
    int64_t repeat_backoff_ms; /* doubles while its disk does not get better; 0: it is well */
};

/* Elections on request, see shell_elect.c. */
enum elect_status { ELECT_WAITING, ELECT_WRITTEN, ELECT_DONE };

struct elect_item {
    const char *topic; /* in the job's arena; one pointer for neighbours of the same topic */
    int32_t number;
    enum elect_status status;
    int16_t error; /* when it is done */
};

struct elect_job {
    struct list node; /* in controller.elections */
    enum elect_type type;
    bool balancing;
    struct elect_item *items;
    size_t count, capacity;
    size_t first_open; /* all before it are done */
    size_t elected;
    uint64_t sequence; /* that brokers must have been told of */
    struct arena names;
};

/* /admin/reassign_partitions as it was last seen, without what has left it since. */
struct reassign_node {
    bool there;
    bool busy;    /* a write of it is in flight */
    bool rewrite; /* it holds what has left the list, or is not understood */
    bool owed;    /* it holds what a client has replaced, of partitions that are marked so */
    bool seen;    /* the pump has looked through it, at this number of changes */
    uint64_t seen_sequence;
    int64_t rests_until_ms; /* a long list is not looked through at each change */
    size_t refused;         /* the last time */
    struct zk_version version;
    int64_t created; /* czxid */
    struct node_partition_list list;
};

/* From a change of brokers or of office until all is settled. */
struct progress {
    bool running;
    bool elected;                             /* no election is left to decide or write */
    bool written;                             /* nor anything else */
    int64_t began_ms, elected_ms, written_ms; /* the latter two since the first */
    size_t states, urgent, multis;
    uint64_t sequence; /* of the image when all was written */
};

/* A broker's or client's request that waits for something. */
struct alter_request;
struct producer_ids_request;
struct shutdown_request;
struct admin_request;

struct controller {
    struct controller_options options;
    struct zk_client *zk;
    struct logger *logger;
    struct zk_listener listener;
    int64_t now_ms;
    int64_t wall_ms;
    bool started;
    bool working, work_again;
    bool work_waits; /* answers have come, the next tick works on them */

    struct list requests; /* shell_request */
    size_t request_count;
    uint64_t term; /* rises when office is taken and when it is left */

    /* Election. */
    enum office office;
    int32_t current; /* broker in office, -1 */
    int32_t epoch;   /* of our term */
    struct zk_fence fence;
    bool election_busy, election_again;
    int64_t election_not_before_ms;
    /* The last attempt in this session: the epoch and its znode version if it was applied. */
    bool attempted;
    bool elected; /* with the fault read_before_write: the attempt has succeeded */
    int32_t attempt_epoch;
    int32_t attempt_version;

    /* What follows lives for a term. */
    struct image image;
    struct map *looks; /* key -> look */
    struct list looks_waiting;
    size_t looks_in_flight;
    size_t writes_in_flight;
    size_t urgent_writes_in_flight; /* states, not multis */
    struct progress progress;
    size_t rewrites_in_flight;
    size_t moves_in_flight;
    struct reassign_node reassign_node;
    size_t admin_in_flight;
    int32_t last_config_change;
    bool config_changes_seen;
    int64_t next_compare_ms;
    size_t compare_from;   /* the topic with which the next comparison goes on */
    struct map *deletions; /* names in /admin/delete_topics -> deletion */
    struct channel *channels;
    size_t channel_count;
    size_t channel_capacity;
    uint64_t last_token;
    struct list producer_ids; /* producer_ids_request */
    bool producer_ids_busy;
    int64_t producer_ids_not_before_ms;
    struct list shutdowns;           /* shutdown_request */
    struct list alters;              /* alter_request not answered */
    struct list admins;              /* admin_request */
    struct list elections;           /* elect_job */
    struct elect_job *election_node; /* of /admin/preferred_replica_election; NULL: none */
    struct zk_version election_node_version;
    bool election_node_busy; /* it is being removed */
    struct elect_job *balancing;
    int64_t next_balance_ms;

    struct controller_gauges gauges;
    struct log_limiter unreadable, unwritable;
};

#define SHELL_AREA "controller"
#define SHELL_LOOKS_IN_FLIGHT_MAX 500
#define SHELL_WRITES_IN_FLIGHT_MAX 8
#define SHELL_ADMIN_IN_FLIGHT_MAX 100

/* controller.c */
/* Does all that can be done now. */
void shell_work(struct controller *controller);
/* The next tick is to come at once and work: thousands of answers cost one round, not one each. */
void shell_work_soon(struct controller *controller);
struct decide_settings shell_decide_settings(const struct controller *controller);
void shell_tell_changed(struct controller *controller);
void shell_term_init(struct controller *controller);
void shell_term_release(struct controller *controller);

/* shell_request.c */
struct zk_completion shell_request(struct controller *controller, bool any_term,
                                   void (*done)(struct controller *, void *, const struct zk_response *),
                                   void (*release)(void *), void *payload);
void shell_requests_orphan(struct controller *controller);

/* shell_election.c */
void shell_election_look(struct controller *controller);
void shell_election_tick(struct controller *controller);
void shell_election_stop(struct controller *controller);
/* Always true while loading, but with the fault read_before_write: it then competes first. */
bool shell_election_is_over(struct controller *controller);
/* A write met the fence of another controller: true, and the office is left. */
bool shell_met_fence(struct controller *controller, const struct zk_response *response);
/* Leaves office and forgets the term; then looks who is in office. */
void shell_resign(struct controller *controller, const char *why);
/* The same without looking: there is no session. */
void shell_session_lost(struct controller *controller);

/* shell_look.c */
void shell_look(struct controller *controller, enum look_kind kind, struct slice name, int32_t number);
void shell_look_later(struct controller *controller, enum look_kind kind, struct slice name, int32_t number);
void shell_look_periodic(struct controller *controller, enum look_kind kind, struct slice name,
                         int32_t number);
void shell_look_at_state(struct controller *controller, struct image_partition *partition);
bool shell_is_looking(const struct controller *controller, enum look_kind kind, struct slice name,
                      int32_t number);
void shell_looks_pump(struct controller *controller);
void shell_looks_clear(struct controller *controller);
int64_t shell_looks_deadline(const struct controller *controller);
void shell_watch_event(struct controller *controller, enum zk_event event, const char *path);

/* shell_apply.c */
void shell_apply(struct controller *controller, const struct look *look, const struct zk_response *response);
/* ZooKeeper will not show it, to us or at all: skipped like what cannot be understood. */
void shell_apply_unreadable(struct controller *controller, const struct look *look);
void shell_forget_topic(struct controller *controller, struct image_topic *topic);

/* shell_write.c */
/* Partition states on their way into one or more fenced multis. */
struct write_batch;
struct write_batch *shell_batch_new(struct controller *controller);
enum write_kind {
    WRITE_CREATE,   /* a decision: the state of a new partition */
    WRITE_SET,      /* a decision about a partition that has a state */
    WRITE_OF_LEADER /* an ISR change that its leader asked for */
};
/* Takes over what `next` owns. The partition is busy until the write has ended, then it is dirty again. */
void shell_batch_add(struct write_batch *batch, struct image_partition *partition, enum write_kind kind,
                     struct node_partition_state *next, bool unclean);
/* Sends what is left in it; the batch is gone. */
void shell_batch_flush(struct write_batch *batch);
/* In office: says in the log which partitions are without leader, and for whom each waits. */
void shell_tell_leaderless(struct controller *controller);
/* Decides all dirty partitions that are not busy. */
void shell_decide_pump(struct controller *controller);

/* shell_progress.c */
void shell_progress_begin(struct controller *controller);
/* A multi has been written. */
void shell_progress_note(struct controller *controller, size_t states, size_t urgent);
void shell_progress_pump(struct controller *controller);

/* shell_topic.c */
void shell_topic_rewrite(struct controller *controller, struct slice name, const struct node_topic *node,
                         struct zk_version version);
void shell_deletions_set(struct controller *controller, const char *const *names, size_t count,
                         bool periodic);
void shell_deletions_pump(struct controller *controller);
int64_t shell_deletions_deadline(const struct controller *controller);
void shell_deletions_clear(struct controller *controller);
/* Those that wait neither for a broker that is down nor for its answer. */
size_t shell_deletions_in_work(const struct controller *controller);
/* The topic that was to be deleted is another one now. */
void shell_deletion_forget(struct controller *controller, struct slice name);
bool shell_is_being_deleted(const struct controller *controller, struct slice name);

/* shell_channel.c */
void shell_channel_open(struct controller *controller, int32_t broker_id, int64_t broker_epoch);
void shell_channel_close(struct controller *controller, int32_t broker_id);
void shell_channels_clear(struct controller *controller);
void shell_channels_pump(struct controller *controller);
int64_t shell_channels_deadline(const struct controller *controller);
/* Asks the broker again what it serves. */
void shell_channel_recheck(struct controller *controller, int32_t broker_id);
/* All live brokers that take messages have been told of everything up to the sequence. */
bool shell_all_told(struct controller *controller, uint64_t sequence);
/* All brokers that take messages have said that they have nothing of the topic, which is in deletion. */
bool shell_all_stopped(const struct controller *controller, const struct image_topic *topic);

/* shell_directory.c */
void shell_apply_directory_events(struct controller *controller, const struct zk_response *response);
void shell_apply_directory_event(struct controller *controller, const struct look *look,
                                 const struct zk_response *response);
/* The broker has no usable log for a replica: its disk, or the folder of another topic of that name. */
bool shell_is_disk_error(int16_t error);
/* What a broker has answered to leader-and-ISR about its disks. */
void shell_note_directories(struct controller *controller, int32_t broker_id,
                            const struct control_response *response);

/* shell_elect.c */
/* A list of partitions for which elections of one type are to be held; the pump carries it out. */
struct elect_job *shell_elect_begin(struct controller *controller, enum elect_type type);
void shell_elect_add(struct elect_job *job, struct slice topic, int32_t number);
bool shell_elect_is_done(const struct elect_job *job);
/* Forgets a job, done or not; NULL is none. */
void shell_elect_end(struct elect_job *job);
void shell_elect_pump(struct controller *controller);
int64_t shell_elect_deadline(const struct controller *controller);
void shell_elect_clear(struct controller *controller);
void shell_balance_office_taken(struct controller *controller);
void shell_apply_preferred_election(struct controller *controller, const struct zk_response *response);

/* shell_reassign.c */
/* Begins, ends and changes moves, as far as that can be done now. */
void shell_reassign_pump(struct controller *controller);
int64_t shell_reassign_deadline(const struct controller *controller);
/* The state of the partition is what it should be: its move may go on. */
void shell_reassign_settled(struct controller *controller, struct image_partition *partition);

/* shell_reassign_node.c */
void shell_apply_reassignments(struct controller *controller, const struct zk_response *response);
void shell_reassign_node_pump(struct controller *controller);
void shell_reassign_node_clear(struct controller *controller);
/* It is being read or written: what stands in it is not certain. */
bool shell_reassign_node_is_busy(const struct controller *controller);
/* A client has asked for moves: what they replace is to leave it at once, however long the list is. */
void shell_reassign_node_hurry(struct controller *controller);

/* shell_broker.c */
void shell_alter_pump(struct controller *controller, struct image_partition *partition,
                      struct write_batch *batch);
void shell_alters_fail(struct controller *controller, struct image_partition *partition, int16_t error);
void shell_brokers_pump(struct controller *controller);
void shell_brokers_clear(struct controller *controller);
int64_t shell_brokers_deadline(const struct controller *controller);

/* admin.c */
void shell_forward(struct controller *controller, const struct forward_request *request, int64_t deadline_ms,
                   struct controller_respond respond);
void shell_admin_pump(struct controller *controller);
void shell_admin_clear(struct controller *controller);
int64_t shell_admin_deadline(const struct controller *controller);

#endif
