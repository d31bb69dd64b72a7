/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For builds with the thread sanitizer; empty in others. The client library comes from the system, built
 * without it, and starts its threads with C11's thrd_create, which the sanitizer does not know: such a thread
 * crashes in the first function that it watches. So here thrd_create and thrd_join are those of POSIX, which
 * it knows; and what is reported of the library's own locks and memory, which it does not see in full, is
 * left out.
 */
#if defined(__SANITIZE_THREAD__)

#include <pthread.h>
#include <stdlib.h>
#include <threads.h>

#include "common/memory.h"

const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so\n"
           "race:librdkafka.so\n"
           "mutex:librdkafka.so\n"
           "thread:librdkafka.so\n"
           "called_from_lib:libzstd.so\n"
           "race:libzstd.so\n"
           "called_from_lib:liblz4.so\n"
           "race:liblz4.so\n"
           "called_from_lib:libsnappy.so\n"
           "race:libsnappy.so\n"
           "called_from_lib:libz.so\n"
           "race:libz.so\n";
}

struct start {
    thrd_start_t run;
    void *argument;
};

static void *run_thread(void *argument)
{
    struct start start = *(struct start *)argument;
    free(argument);
    return (void *)(intptr_t)start.run(start.argument);
}

int thrd_create(thrd_t *thread, thrd_start_t run, void *argument)
{
    struct start *start = memory_allocate(sizeof(*start));
    *start = (struct start){run, argument};
    if (pthread_create(thread, NULL, run_thread, start) == 0)
        return thrd_success;
    free(start);
    return thrd_error;
}

int thrd_join(thrd_t thread, int *result)
{
    void *value = NULL;
    if (pthread_join(thread, &value) != 0)
        return thrd_error;
    if (result != NULL)
        *result = (int)(intptr_t)value;
    return thrd_success;
}

#else
/* A translation unit is never empty. */
enum { THREAD_SANITIZER_IS_OFF };
#endif
