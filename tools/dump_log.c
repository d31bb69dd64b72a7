/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a dump share: opening the files, what was found, and telling it. See dump_log.h. */
#include "tools/dump_log.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"

/* Lines go out in pieces of about this size. */
#define LINE_BYTES ((size_t)32 * 1024)
#define PROGRESS_FROM_BYTES ((int64_t)256 * 1024 * 1024)
#define PROGRESS_BAR_CELLS 40
#define OFFSET_DIGITS_MAX 19

void dump_init(struct dump *dump, struct file_system *files, FILE *out, FILE *err)
{
    *dump = (struct dump){.files = files, .out = out, .err = err, .shown_percent = -1};
    dump->request.max_bytes = INT32_MAX;
    dump->request.max_message_bytes = INT64_C(5) * 1024 * 1024;
    record_walker_init(&dump->walker);
    buffer_init(&dump->line);
}

void dump_release(struct dump *dump)
{
    for (size_t i = 0; i < dump->findings_count; i++) {
        for (int kind = 0; kind < DUMP_FINDING_COUNT; kind++)
            free(dump->findings[i].of[kind].pairs);
        free(dump->findings[i].path);
    }
    free(dump->findings);
    record_walker_release(&dump->walker);
    buffer_release(&dump->line);
}

/* ---- what is told ---- */

static void write_line(struct dump *dump)
{
    if (dump->line.length > 0 &&
        fwrite(dump->line.data, 1, dump->line.length, dump->out) != dump->line.length)
        dump->damaged = true; /* nobody reads any more, or no room: not all was said */
    buffer_clear(&dump->line);
}

void dump_flush(struct dump *dump)
{
    if (dump->line.length >= LINE_BYTES)
        write_line(dump);
}

static void clear_progress(struct dump *dump)
{
    if (dump->shown_percent >= 0)
        fputs("\r\033[K", dump->err);
    dump->shown_percent = -1;
}

void dump_complain(struct dump *dump, const char *format, ...)
{
    va_list arguments;
    write_line(dump);
    fflush(dump->out);
    clear_progress(dump);
    va_start(arguments, format);
    vfprintf(dump->err, format, arguments);
    va_end(arguments);
    fputc('\n', dump->err);
    dump->damaged = true;
}

void dump_progress(struct dump *dump, const char *name, int64_t done, int64_t total)
{
    if (total == 0)
        clear_progress(dump);
    if (!dump->show_progress || total < PROGRESS_FROM_BYTES)
        return;
    int percent = (int)(done / (total / 100));
    if (percent == dump->shown_percent)
        return;
    dump->shown_percent = percent;
    char bar[PROGRESS_BAR_CELLS + 1];
    for (int i = 0; i < PROGRESS_BAR_CELLS; i++)
        bar[i] = i * 100 < percent * PROGRESS_BAR_CELLS ? '#' : '.';
    bar[PROGRESS_BAR_CELLS] = '\0';
    fprintf(dump->err, "\r%s [%s] %3d%% of %" PRId64 " MiB", name, bar, percent, total >> 20);
    fflush(dump->err);
}

/* ---- findings ---- */

/* As Java's File.getAbsolutePath: not resolved, only put behind the working directory. */
static char *absolute_path(const char *path)
{
    char working[PATH_MAX];
    struct buffer out;
    buffer_init(&out);
    if (path[0] != '/' && getcwd(working, sizeof(working)) != NULL)
        buffer_print(&out, "%s/", strcmp(working, "/") == 0 ? "" : working);
    buffer_append_string(&out, path);
    char *copy = memory_copy_string(buffer_string(&out));
    buffer_release(&out);
    return copy;
}

static struct dump_findings *findings_of(struct dump *dump, const char *path)
{
    char *absolute = absolute_path(path);
    for (size_t i = 0; i < dump->findings_count; i++)
        if (strcmp(dump->findings[i].path, absolute) == 0) {
            free(absolute);
            return &dump->findings[i];
        }
    dump->findings =
        memory_grow(dump->findings, dump->findings_count, &dump->findings_capacity, sizeof(*dump->findings));
    struct dump_findings *added = &dump->findings[dump->findings_count++];
    *added = (struct dump_findings){.path = absolute};
    return added;
}

void dump_note_pair(struct dump *dump, const char *path, enum dump_finding kind, int64_t first,
                    int64_t second)
{
    struct dump_pairs *pairs = &findings_of(dump, path)->of[kind];
    /* Whether an offset that differs is damage, who found it knows. */
    if (kind != DUMP_INDEX_MISMATCH && kind != DUMP_OFFSET_GAP)
        dump->damaged = true;
    if (pairs->count == DUMP_PAIRS_MAX) {
        pairs->left_out++;
        return;
    }
    pairs->pairs = memory_grow(pairs->pairs, pairs->count, &pairs->capacity, sizeof(*pairs->pairs));
    pairs->pairs[pairs->count][0] = first;
    pairs->pairs[pairs->count++][1] = second;
}

/* How Kafka words each kind; the order of some lists is from the last to the first. */
static const struct finding_words {
    const char *heading; /* the path follows */
    bool names_file;
    const char *before, *between;
    bool backwards;
} words[DUMP_FINDING_COUNT] = {
    [DUMP_INDEX_MISMATCH] = {"Mismatches in :", true, "  Index offset: ", ", log offset: ", true},
    [DUMP_TIME_MISMATCH] = {"Found timestamp mismatch in :", true,
                            "  Index timestamp: ", ", log timestamp: ", false},
    [DUMP_TIME_ORDER] = {"Found out of order timestamp in :", true,
                         "  Index timestamp: ", ", Previously indexed timestamp: ", false},
    [DUMP_OFFSET_NOT_FOUND] = {"The following indexed offsets are not found in the log.", false,
                               "Indexed offset: ", ", found log offset: ", false},
    [DUMP_OFFSET_GAP] = {"Non-consecutive offsets in ", true, "  ", " is followed by ", true},
};

static void print_pairs(struct dump *dump, const struct finding_words *say, const char *path,
                        const struct dump_pairs *pairs)
{
    fprintf(dump->err, "%s%s\n", say->heading, say->names_file ? path : "");
    if (pairs->left_out > 0 && say->backwards)
        fprintf(dump->err, "  (and %" PRIu64 " more)\n", pairs->left_out);
    for (size_t i = 0; i < pairs->count; i++) {
        const int64_t *pair = pairs->pairs[say->backwards ? pairs->count - 1 - i : i];
        fprintf(dump->err, "%s%" PRId64 "%s%" PRId64 "\n", say->before, pair[0], say->between, pair[1]);
    }
    if (pairs->left_out > 0 && !say->backwards)
        fprintf(dump->err, "  (and %" PRIu64 " more)\n", pairs->left_out);
}

void dump_print_findings(struct dump *dump)
{
    write_line(dump);
    fflush(dump->out);
    for (int kind = 0; kind < DUMP_FINDING_COUNT; kind++)
        for (size_t i = 0; i < dump->findings_count; i++)
            if (dump->findings[i].of[kind].count > 0)
                print_pairs(dump, &words[kind], dump->findings[i].path, &dump->findings[i].of[kind]);
}

void dump_finish(struct dump *dump)
{
    if (dump->known_files == 0)
        dump_complain(dump, "Nothing was dumped: name .log, .index, .timeindex, .txnindex or .snapshot files "
                            "of a partition's folder with --files.");
    write_line(dump);
    if (fflush(dump->out) == 0 && ferror(dump->out) == 0)
        return;
    fputs("The dump is not whole: standard output could not be written.\n", dump->err);
    dump->damaged = true;
}

/* ---- files ---- */

static int open_file(struct dump *dump, bool optional, struct dump_file *file)
{
    file->file = NULL;
    int error = file_open(dump->files, file->path, FILE_READ, &file->file);
    if (error == 0) {
        error = file_size(dump->files, file->file, &file->size);
        if (error)
            file_close(dump->files, file->file);
    }
    if (error && !(optional && error == -ENOENT))
        dump_complain(dump, "%s: %s", file->path, strerror(-error));
    return error;
}

int dump_open(struct dump *dump, const struct dump_file *of, const char *suffix, bool optional,
              struct dump_file *opened, struct buffer *path)
{
    size_t stem = (size_t)(of->name - of->path) + strcspn(of->name, ".");
    buffer_append(path, of->path, stem);
    buffer_append_string(path, suffix);
    *opened = (struct dump_file){.path = buffer_string(path), .base_offset = of->base_offset};
    opened->name = opened->path + (of->name - of->path);
    int error = open_file(dump, true, opened);
    if (error == -ENOENT && !optional)
        dump_complain(dump, "%s: %s. %s is compared with it: keep both in one folder.", opened->path,
                      strerror(ENOENT), of->path);
    return error;
}

void dump_close(struct dump *dump, struct dump_file *file)
{
    file_close(dump->files, file->file);
    file->file = NULL;
}

int dump_read(struct dump *dump, const struct dump_file *file, void *data, size_t length, int64_t position)
{
    ssize_t count = file_read(dump->files, file->file, data, length, position);
    if (count == (ssize_t)length)
        return 0;
    int error = count < 0 ? (int)count : -EIO;
    if (count < 0)
        dump_complain(dump, "%s: reading at position %" PRId64 ": %s", file->path, position,
                      strerror(-error));
    else
        dump_complain(dump, "%s has become shorter than position %" PRId64 " while it was read.", file->path,
                      position + (int64_t)length);
    return error;
}

/* The offset that a file is named by: what stands before the first dot. */
static bool parse_base_offset(const char *name, int64_t *offset)
{
    size_t digits = strspn(name, "0123456789");
    if (digits == 0 || name[digits] != '.' || strspn(name, "0") + OFFSET_DIGITS_MAX < digits)
        return false;
    errno = 0;
    *offset = strtoll(name, NULL, 10);
    return errno == 0;
}

static const struct dump_kind {
    const char *suffix;
    bool needs_offset;
    void (*dump)(struct dump *dump, struct dump_file *file);
} kinds[] = {
    {".log", true, dump_batches_file},
    {".index", true, dump_offset_index},
    {".timeindex", true, dump_time_index},
    {".txnindex", true, dump_transaction_index},
    {".snapshot", false, dump_producer_snapshot},
};

static void dump_kind(struct dump *dump, const struct dump_kind *kind, struct dump_file *file)
{
    if (kind->needs_offset && !parse_base_offset(file->name, &file->base_offset)) {
        dump_complain(dump,
                      "%s: the name of such a file begins with an offset, as 00000000000000000000%s does.",
                      file->path, kind->suffix);
        return;
    }
    if (open_file(dump, false, file) == 0) {
        kind->dump(dump, file);
        dump_close(dump, file);
    }
}

void dump_path(struct dump *dump, const char *path)
{
    struct dump_file file = {.path = path};
    file.name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    const char *suffix = strrchr(file.name, '.');
    buffer_print(&dump->line, "Dumping %s\n", path);
    dump_flush(dump);
    for (size_t i = 0; suffix != NULL && i < ARRAY_SIZE(kinds); i++) {
        if (strcmp(suffix, kinds[i].suffix) == 0) {
            dump->known_files++;
            dump_kind(dump, &kinds[i], &file);
            return;
        }
    }
    write_line(dump);
    fflush(dump->out);
    fprintf(dump->err, "Ignoring unknown file %s\n", path);
}
