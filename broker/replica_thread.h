/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The replica thread: carries out the controller's messages in the order of their arrival (they open logs and
 * may take their time), looks after ISRs and sends ISR proposals to the controller. Periodic checkpoints are
 * the storage threads' (storage.h): nothing here waits for a disk but what the controller asks for.
 */
#ifndef BROKER_REPLICA_THREAD_H
#define BROKER_REPLICA_THREAD_H

#include "broker/api/api.h"
#include "broker/replica/replica_manager.h"
#include "common/base.h"

struct replica_thread;

struct replica_thread *replica_thread_new(void);
/* Starts the thread; the context outlives it. 0 or -errno. */
MUST_CHECK int replica_thread_start(struct replica_thread *thread, struct api_context *context);
/* Carries out what has arrived, then ends the thread. */
void replica_thread_stop(struct replica_thread *thread);
void replica_thread_free(struct replica_thread *thread);

/* From any thread: carry the message out; the delivery's done follows. */
void replica_thread_deliver(struct replica_thread *thread, struct control_delivery *delivery);
/* From any thread: the partition has an ISR proposal to be sent. */
void replica_thread_propose(struct replica_thread *thread, struct partition *partition);

#endif
