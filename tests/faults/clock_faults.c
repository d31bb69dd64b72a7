/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A wall clock that jumps on command: loaded in front of the C library of a real broker. CLOCK_FAULTS names a
 * file that holds a number of milliseconds; the wall clock of the process is so far off. A missing file means
 * none. The monotonic clocks are left alone.
 *
 * The file is looked at (one stat) at every question for wall time, and read again when it has changed.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S INT64_C(1000000000)

/* The offset of this process, as the file had it last. */
static struct {
    pthread_mutex_t mutex;
    struct timespec modified;
    ino_t inode;
    int64_t offset_ms;
} clock_state = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static int64_t read_offset_ms(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    fclose(file);
    return strtoll(text, NULL, 10);
}

static int64_t current_offset_ms(void)
{
    const char *path = getenv("CLOCK_FAULTS");
    struct stat now;
    if (!path || stat(path, &now))
        return 0;
    pthread_mutex_lock(&clock_state.mutex);
    if (now.st_ino != clock_state.inode || now.st_mtim.tv_sec != clock_state.modified.tv_sec ||
        now.st_mtim.tv_nsec != clock_state.modified.tv_nsec) {
        clock_state.inode = now.st_ino;
        clock_state.modified = now.st_mtim;
        clock_state.offset_ms = read_offset_ms(path);
    }
    int64_t offset_ms = clock_state.offset_ms;
    pthread_mutex_unlock(&clock_state.mutex);
    return offset_ms;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int result = (int)syscall(SYS_clock_gettime, id, out);
    if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) {
        int64_t ns = out->tv_sec * NS_PER_S + out->tv_nsec + current_offset_ms() * 1000000;
        out->tv_sec = ns / NS_PER_S;
        out->tv_nsec = ns % NS_PER_S;
    }
    return result;
}

int gettimeofday(struct timeval *out, void *zone)
{
    struct timespec now;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return -1;
    out->tv_sec = now.tv_sec;
    out->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *out)
{
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now))
        return (time_t)-1;
    if (out)
        *out = now.tv_sec;
    return now.tv_sec;
}
