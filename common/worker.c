/* SPDX-License-Identifier: Apache-2.0 */
/* Threads, and threads that wait for mails. */
#include "common/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/memory.h"

#define THREAD_NAME_BYTES 16 /* with its NUL; the kernel's limit */

int thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *argument)
{
    /* The thread inherits the mask: signals go to the main thread only. */
    sigset_t all, former;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &former);
    int failed = pthread_create(thread, NULL, run, argument);
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    if (failed)
        return -failed;
    char cut[THREAD_NAME_BYTES];
    snprintf(cut, sizeof(cut), "%s", name);
    pthread_setname_np(*thread, cut);
    return 0;
}

struct worker {
    pthread_mutex_t mutex;
    pthread_cond_t arrived;
    struct mail *first; /* guarded by mutex, as the two below */
    struct mail **last;
    bool stopping;
    size_t thread_count;
    pthread_t threads[];
};

static void *worker_run(void *argument)
{
    struct worker *worker = argument;
    pthread_mutex_lock(&worker->mutex);
    for (;;) {
        while (worker->first == NULL && !worker->stopping)
            pthread_cond_wait(&worker->arrived, &worker->mutex);
        struct mail *mail = worker->first;
        if (mail == NULL)
            break;
        worker->first = mail->_next;
        if (worker->first == NULL)
            worker->last = &worker->first;
        pthread_mutex_unlock(&worker->mutex);
        mail->_next = NULL;
        mail->handle(mail);
        pthread_mutex_lock(&worker->mutex);
    }
    pthread_mutex_unlock(&worker->mutex);
    return NULL;
}

int worker_new(const char *name, int thread_count, struct worker **result)
{
    CHECK(thread_count > 0);
    struct worker *worker =
        memory_allocate_zeroed(1, sizeof(*worker) + (size_t)thread_count * sizeof(worker->threads[0]));
    pthread_mutex_init(&worker->mutex, NULL);
    pthread_cond_init(&worker->arrived, NULL);
    worker->last = &worker->first;
    for (int i = 0; i < thread_count; i++) {
        int error = thread_start(&worker->threads[i], name, worker_run, worker);
        if (error) {
            worker_free(worker);
            return error;
        }
        worker->thread_count++;
    }
    *result = worker;
    return 0;
}

void worker_post(struct worker *worker, struct mail *mail)
{
    mail->_next = NULL;
    pthread_mutex_lock(&worker->mutex);
    *worker->last = mail;
    worker->last = &mail->_next;
    pthread_cond_signal(&worker->arrived);
    pthread_mutex_unlock(&worker->mutex);
}

void worker_free(struct worker *worker)
{
    if (worker == NULL)
        return;
    pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    pthread_cond_broadcast(&worker->arrived);
    pthread_mutex_unlock(&worker->mutex);
    for (size_t i = 0; i < worker->thread_count; i++)
        pthread_join(worker->threads[i], NULL);
    pthread_cond_destroy(&worker->arrived);
    pthread_mutex_destroy(&worker->mutex);
    free(worker);
}
