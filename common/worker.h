/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads. thread_start: a named thread with signals blocked. A worker: threads that handle mails which may
 * block (files, name resolution); completions go back by mailbox_post. With one thread mails are handled in
 * order.
 */
#ifndef COMMON_WORKER_H
#define COMMON_WORKER_H

#include <pthread.h>

#include "common/base.h"
#include "common/mailbox.h"

/* Starts a thread; name is cut at 15 characters. 0 or -errno. */
MUST_CHECK int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument);

struct worker;

MUST_CHECK int worker_new(const char *name, int thread_count, struct worker **worker);
/* From any thread. */
void worker_post(struct worker *worker, struct mail *mail);
/* Handles what is queued, joins the threads, frees. */
void worker_free(struct worker *worker);

#endif
