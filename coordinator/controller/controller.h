/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The controller: every broker has one, one of them is in office. That one decides which broker leads which
 * partition and who is in its ISR, creates and deletes topics, and tells all brokers. Everything it knows is
 * a function of ZooKeeper (I30); every write it makes is fenced by the version of /controller_epoch (I29).
 *
 * No clock, no thread, no event loop here: ZooKeeper is a zk_client, messages leave through a transport
 * table, time comes in through controller_tick. The simulator runs all of it as it is. Everything, callbacks
 * included, belongs to the one thread that also drives the zk_client.
 *
 * README.md in this folder draws the state machines.
 */
#ifndef COORDINATOR_CONTROLLER_CONTROLLER_H
#define COORDINATOR_CONTROLLER_CONTROLLER_H

#include "common/base.h"
#include "common/buffer.h"
#include "common/log.h"
#include "common/slice.h"
#include "coordinator/zk/zk.h"
#include "proto/control/control.h"

struct controller;

/*
 * How messages reach brokers. The controller has at most one request in flight to each broker, and repeats
 * what was not answered (I33); so the transport need neither queue nor retry, only answer within a bounded
 * time (a lost connection is an answer too).
 */
struct controller_transport {
    void *context;
    /*
     * Sends `request` (borrowed for the call) to `broker`, whose endpoints are as registered. The outcome
     * comes later, exactly once, never from inside this call, through controller_on_answer with `token`. The
     * outcome of a request whose broker was dropped, or whose controller was freed, may be left out.
     */
    void (*send)(void *context, const struct control_broker *broker, uint64_t token,
                 const struct control_request *request);
    /* That broker is not alive, or comes back with other endpoints: close what is open to it. */
    void (*drop)(void *context, int32_t broker_id);
};

/* What the broker around it hears. */
struct controller_callbacks {
    void *context;
    /*
     * Who is in office, as read from ZooKeeper: a broker id, or -1 while nobody is known. in_office: it is
     * this one, and it has loaded the cluster's state; the epoch is its controller epoch. May be NULL.
     */
    void (*changed)(void *context, int32_t controller_id, bool in_office, int32_t controller_epoch);
    /*
     * Checks a topic setting before it is stored: NULL when name and value are good, else what is wrong with
     * them (text valid until the next call). NULL pointer: everything is accepted.
     */
    const char *(*validate_topic_config)(void *context, struct slice name, struct slice value);
    /* Fills `bytes` with random ones (topic ids, where an assignment starts). */
    void (*random)(void *context, void *bytes, size_t length);
};

/*
 * Rules switched off on purpose, so that the simulator can show that it would notice. All false in
 * production.
 */
struct controller_faults {
    bool unclean_always;      /* I27: any live replica is elected when the ISR has none */
    bool isr_by_id;           /* I24, I25: a seat belongs to a broker id, whatever its epoch */
    bool no_eligible;         /* who leaves an ISR that becomes too small is forgotten (seats.h) */
    bool move_ends_early;     /* I36: replicas leave before the target of a move is in the ISR */
    bool skip_reconciliation; /* I31: a new controller believes the seats that it finds */
    bool unfenced_writes;     /* I29: partition states are written without the check of the epoch */
    bool forget_messages;     /* I33: a message that was not answered counts as told */
    bool forget_writes;       /* I34: a state that could not be written is not looked at again */
    bool keep_leader_epoch;   /* I35: another leader, the same leader epoch */
    bool stop_part_way;       /* I36: a deletion does not wait for brokers that are away */
    bool strike_twice;        /* I38: a deletion in doubt strikes the next topic of that name */
    bool refuse_unknown;      /* I38: an ISR change whose write got no answer is answered as refused */
    bool read_before_write;   /* I40: a new controller reads before its election */
};

struct controller_options {
    int32_t broker_id;
    struct zk_client *zk;  /* outlives the controller */
    struct logger *logger; /* may be NULL */
    struct controller_transport transport;
    struct controller_callbacks callbacks;

    int32_t default_partitions;          /* num.partitions */
    int32_t default_replication_factor;  /* default.replication.factor */
    bool delete_topic_enable;            /* delete.topic.enable */
    int32_t min_insync_replicas;         /* min.insync.replicas, where a topic does not say */
    bool unclean_leader_election;        /* unclean.leader.election.enable, where a topic does not say */
    bool auto_leader_rebalance;          /* auto.leader.rebalance.enable */
    int32_t leader_imbalance_percentage; /* leader.imbalance.per.broker.percentage */
    /* Times in ms; 0 takes the default in parentheses. */
    int64_t retry_backoff_ms;          /* before a failed message or read is tried again (100) */
    int64_t compare_interval_ms;       /* between two comparisons of memory with ZooKeeper (60,000) */
    int64_t leader_imbalance_check_ms; /* leader.imbalance.check.interval.seconds (300,000) */
    int64_t shutdown_deadline_ms; /* after which a controlled shutdown is answered as it stands (5,000) */

    struct controller_faults faults;
};

/* What stands in the options must outlive the controller where it is a pointer. It does nothing yet. */
struct controller *controller_new(const struct controller_options *options);
/*
 * Leaves office without a word (the ephemeral node stays until the session ends), answers parked requests
 * with NOT_CONTROLLER, frees. ZooKeeper's answers still to come are forgotten.
 */
void controller_free(struct controller *controller);
/* Begins to compete for office, as soon as ZooKeeper is connected. Call it when the broker is registered. */
void controller_start(struct controller *controller, int64_t now_ms, int64_t wall_ms);
/* Leaves office, if in it, by removing /controller, and competes no more: for an orderly stop. */
void controller_stop(struct controller *controller);

/*
 * Time passes: monotonic, and wall time for what is written into znodes. Call it in each turn of the loop
 * before other calls, and at controller_next_deadline at the latest.
 */
void controller_tick(struct controller *controller, int64_t now_ms, int64_t wall_ms);
/* Monotonic time of the next thing to do; INT64_MAX: nothing waits for time. */
int64_t controller_next_deadline(const struct controller *controller);

/* Outcome of transport.send: status 0 with the answer (borrowed for the call), or -errno and NULL. */
void controller_on_answer(struct controller *controller, uint64_t token, int status,
                          const struct control_answer *answer);

/* The broker in office as far as known; -1: nobody. */
int32_t controller_current(const struct controller *controller);
/* This controller is in office and has loaded the state. */
bool controller_is_in_office(const struct controller *controller);
/* The epoch of this controller's term; -1 when it is not in office. */
int32_t controller_epoch(const struct controller *controller);

/*
 * A request from a broker: alter partition, allocate producer ids, controlled shutdown, forward. It is copied
 * as far as needed; respond is called once, from inside this call or later, with an answer borrowed for the
 * call. Who is not in office answers NOT_CONTROLLER. deadline_ms (monotonic) matters for forward only. What a
 * controller sends (leader-and-ISR...) is not handled here: INVALID_REQUEST.
 */
struct controller_respond {
    void (*respond)(void *context, const struct control_answer *answer);
    void *context;
};
void controller_handle(struct controller *controller, const struct control_request *request,
                       int64_t deadline_ms, struct controller_respond respond);

/*
 * A client's request that only the controller carries out: CreateTopics, DeleteTopics, CreatePartitions,
 * ElectLeaders. The caller has authorized it. `body` is what follows the request header. respond is called
 * once, from inside or later: error NONE with the body of the response (without its header), or an error
 * without a body: NOT_CONTROLLER, or INVALID_REQUEST for a body that cannot be read (close the connection). A
 * response that waits for brokers comes at the deadline at the latest (monotonic; the request's own timeout
 * counts too).
 */
struct controller_admin_respond {
    void (*respond)(void *context, int16_t error, struct slice body);
    void *context;
};
void controller_admin(struct controller *controller, int16_t api_key, int16_t api_version,
                      struct slice client_id, struct slice body, int64_t deadline_ms,
                      struct controller_admin_respond respond);
/* True for the API keys that controller_admin carries out. */
bool controller_admin_serves(int16_t api_key);

/* For tests and operators: what the controller knows, one line a broker, topic and partition. */
void controller_dump(const struct controller *controller, struct buffer *out);

/* What is worth a metric or an assertion; counted since controller_new. */
struct controller_gauges {
    uint64_t elections_won;
    uint64_t resignations;
    uint64_t leader_changes;    /* states written with another leader */
    uint64_t unclean_elections; /* of these, outside the ISR */
    uint64_t healed;            /* differences that only the periodic comparison found; should stay 0 */
    size_t brokers;
    size_t topics;
    size_t partitions;
    size_t offline_partitions; /* without leader */
    /* Reads, writes, messages and parked requests that are not finished: 0 when everything is at rest. */
    size_t unfinished;
};
struct controller_gauges controller_gauges(const struct controller *controller);

#endif
