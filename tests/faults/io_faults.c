/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls on files that fail, fall short or take their time on command: loaded in front of the C library of a
 * real broker. README.md beside this has the language of the rules.
 *
 * The file of rules is looked at (one stat) at every call, and read again when it has changed. A rule is
 * found by the path of the call, or by that of its descriptor, which the kernel is asked for only while there
 * are rules for that kind of call. One mutex guards the rules; nothing is waited for, and no call made, under
 * it.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define RULES_MAX 16
#define RULES_BYTES_MAX 8192

enum call {
    CALL_OPEN,
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_RENAME,
    CALL_UNLINK,
    CALL_MKDIR,
    CALL_LIST,
    CALL_COUNT
};

static const char *const call_names[CALL_COUNT] = {"open",   "read",   "write", "sync", "truncate",
                                                   "rename", "unlink", "mkdir", "list"};

static const struct {
    const char *name;
    int error;
} error_names[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EROFS", EROFS},
                   {"EACCES", EACCES}, {"EMFILE", EMFILE}, {"EDQUOT", EDQUOT}};

struct rule {
    unsigned calls;      /* bits of enum call */
    int error;           /* 0: none */
    ssize_t short_bytes; /* -1: not short */
    long delay_ms;
    long left; /* -1: for ever */
    char text[128];
    char path[PATH_MAX];
};

/* What a rule does to one call. */
struct verdict {
    int error;
    ssize_t short_bytes;
    long delay_ms;
};

/* The rules of this process, as the file had them last. */
static struct {
    pthread_mutex_t mutex;
    struct timespec modified;
    off_t size;
    ino_t inode;
    size_t count;
    unsigned calls; /* of all rules */
    struct rule rules[RULES_MAX];
} table = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- reading the rules ---- */

static unsigned parse_calls(const char *text)
{
    if (strcmp(text, "all") == 0)
        return (1u << CALL_COUNT) - 1;
    unsigned calls = 0;
    while (*text) {
        size_t length = strcspn(text, "+");
        for (int i = 0; i < CALL_COUNT; i++)
            if (strlen(call_names[i]) == length && strncmp(text, call_names[i], length) == 0)
                calls |= 1u << i;
        text += length;
        text += *text == '+';
    }
    return calls;
}

static void parse_what(const char *text, struct rule *rule)
{
    rule->short_bytes = -1;
    if (strncmp(text, "short:", 6) == 0)
        rule->short_bytes = (ssize_t)strtol(text + 6, NULL, 10);
    else if (strncmp(text, "delay:", 6) == 0)
        rule->delay_ms = strtol(text + 6, NULL, 10);
    for (size_t i = 0; i < sizeof(error_names) / sizeof(error_names[0]); i++)
        if (strcmp(text, error_names[i].name) == 0)
            rule->error = error_names[i].error;
}

static void parse_rules(char *text)
{
    table.count = 0;
    table.calls = 0;
    for (char *line = text; *line && table.count < RULES_MAX;) {
        size_t length = strcspn(line, "\n");
        char calls[64], what[64], often[32];
        struct rule *rule = &table.rules[table.count];
        bool more = line[length] == '\n';
        line[length] = '\0';
        memset(rule, 0, sizeof(*rule));
        if (sscanf(line, "%63s %63s %31s %4095s", calls, what, often, rule->path) == 4) {
            rule->calls = parse_calls(calls);
            rule->left = strcmp(often, "*") == 0 ? -1 : strtol(often, NULL, 10);
            parse_what(what, rule);
            snprintf(rule->text, sizeof(rule->text), "%.50s %.50s", calls, what);
            table.calls |= rule->calls;
            table.count++;
        }
        line += length + more;
    }
}

/* By the kernel itself: none of these calls is to strike a rule. */
static void read_rules(const char *path)
{
    char text[RULES_BYTES_MAX];
    long descriptor = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    ssize_t got = descriptor < 0 ? 0 : syscall(SYS_read, descriptor, text, sizeof(text) - 1);
    if (descriptor >= 0)
        syscall(SYS_close, descriptor);
    text[got > 0 ? got : 0] = '\0';
    parse_rules(text);
}

static void refresh(const char *path)
{
    struct stat now;
    if (stat(path, &now)) {
        table.count = 0;
        table.calls = 0;
        table.inode = 0;
        return;
    }
    if (now.st_ino == table.inode && now.st_size == table.size &&
        now.st_mtim.tv_sec == table.modified.tv_sec && now.st_mtim.tv_nsec == table.modified.tv_nsec)
        return;
    table.inode = now.st_ino;
    table.size = now.st_size;
    table.modified = now.st_mtim;
    read_rules(path);
}

/* ---- judging a call ---- */

static bool is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '\0' || path[length] == '/');
}

static void note(const char *rules_path, const char *text, const char *path)
{
    char line[PATH_MAX + 256], name[PATH_MAX];
    int length = snprintf(line, sizeof(line), "%s %s\n", text, path);
    snprintf(name, sizeof(name), "%s.struck", rules_path);
    long descriptor = syscall(SYS_openat, AT_FDCWD, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (descriptor < 0)
        return;
    syscall(SYS_write, descriptor, line, (size_t)length);
    syscall(SYS_close, descriptor);
}

static struct verdict judge_path(const char *rules_path, enum call call, const char *path)
{
    struct verdict verdict = {0, -1, 0};
    char text[128] = "";
    pthread_mutex_lock(&table.mutex);
    for (size_t i = 0; i < table.count; i++) {
        struct rule *rule = &table.rules[i];
        if (!(rule->calls & (1u << call)) || rule->left == 0 || !is_below(path, rule->path))
            continue;
        rule->left -= rule->left > 0;
        verdict = (struct verdict){rule->error, rule->short_bytes, rule->delay_ms};
        memcpy(text, rule->text, sizeof(text));
        break;
    }
    pthread_mutex_unlock(&table.mutex);
    if (text[0])
        note(rules_path, text, path);
    return verdict;
}

/* The path of the call, or NULL with the descriptor it is on. */
static struct verdict judge(enum call call, const char *path, int descriptor)
{
    const char *rules_path = getenv("IO_FAULTS");
    struct verdict verdict = {0, -1, 0};
    if (!rules_path)
        return verdict;
    int saved = errno;
    pthread_mutex_lock(&table.mutex);
    refresh(rules_path);
    bool wanted = table.calls & (1u << call);
    pthread_mutex_unlock(&table.mutex);
    char link[64], found[PATH_MAX];
    if (wanted && !path) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", descriptor);
        ssize_t length = readlink(link, found, sizeof(found) - 1);
        found[length > 0 ? length : 0] = '\0';
        path = found;
    }
    if (wanted)
        verdict = judge_path(rules_path, call, path);
    if (verdict.delay_ms > 0) {
        struct timespec delay = {verdict.delay_ms / 1000, verdict.delay_ms % 1000 * 1000000};
        nanosleep(&delay, NULL);
    }
    errno = verdict.error ? verdict.error : saved;
    return verdict;
}

/* The C library's own function. */
static void *next_function(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* ---- the calls ---- */

int open(const char *path, int flags, ...)
{
    mode_t mode = 0;
    if (flags & (O_CREAT | O_TMPFILE)) {
        va_list arguments;
        va_start(arguments, flags);
        mode = (mode_t)va_arg(arguments, unsigned);
        va_end(arguments);
    }
    if (judge(CALL_OPEN, path, -1).error)
        return -1;
    int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))next_function("open");
    return next(path, flags, mode);
}

ssize_t pread(int descriptor, void *data, size_t length, off_t offset)
{
    if (judge(CALL_READ, NULL, descriptor).error)
        return -1;
    ssize_t (*next)(int, void *, size_t, off_t) =
        (ssize_t(*)(int, void *, size_t, off_t))next_function("pread");
    return next(descriptor, data, length, offset);
}

ssize_t sendfile(int out, int in, off_t *offset, size_t count)
{
    if (judge(CALL_READ, NULL, in).error)
        return -1;
    ssize_t (*next)(int, int, off_t *, size_t) =
        (ssize_t(*)(int, int, off_t *, size_t))next_function("sendfile");
    return next(out, in, offset, count);
}

ssize_t pwritev(int descriptor, const struct iovec *parts, int count, off_t offset)
{
    struct verdict verdict = judge(CALL_WRITE, NULL, descriptor);
    if (verdict.error)
        return -1;
    ssize_t (*next)(int, const struct iovec *, int, off_t) =
        (ssize_t(*)(int, const struct iovec *, int, off_t))next_function("pwritev");
    if (verdict.short_bytes < 0 || count < 1)
        return next(descriptor, parts, count, offset);
    struct iovec first = parts[0];
    if ((size_t)verdict.short_bytes < first.iov_len)
        first.iov_len = (size_t)verdict.short_bytes;
    return next(descriptor, &first, 1, offset);
}

int fsync(int descriptor)
{
    if (judge(CALL_SYNC, NULL, descriptor).error)
        return -1;
    return ((int (*)(int))next_function("fsync"))(descriptor);
}

int fdatasync(int descriptor)
{
    if (judge(CALL_SYNC, NULL, descriptor).error)
        return -1;
    return ((int (*)(int))next_function("fdatasync"))(descriptor);
}

int ftruncate(int descriptor, off_t size)
{
    if (judge(CALL_TRUNCATE, NULL, descriptor).error)
        return -1;
    return ((int (*)(int, off_t))next_function("ftruncate"))(descriptor, size);
}

int rename(const char *from, const char *to)
{
    if (judge(CALL_RENAME, from, -1).error)
        return -1;
    return ((int (*)(const char *, const char *))next_function("rename"))(from, to);
}

int unlink(const char *path)
{
    if (judge(CALL_UNLINK, path, -1).error)
        return -1;
    return ((int (*)(const char *))next_function("unlink"))(path);
}

int mkdir(const char *path, mode_t mode)
{
    if (judge(CALL_MKDIR, path, -1).error)
        return -1;
    return ((int (*)(const char *, mode_t))next_function("mkdir"))(path, mode);
}

DIR *opendir(const char *path)
{
    if (judge(CALL_LIST, path, -1).error)
        return NULL;
    return ((DIR * (*)(const char *)) next_function("opendir"))(path);
}
