/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file of strange bytes is read as an index of aborted transactions: it is refused, or each entry is one
 * that the segment can have; what is then cut, added and written reads back as it was in memory.
 *
 * Input: a place to cut at, how many entries to add, then the file.
 */
#include <errno.h>
#include <string.h>

#include "broker/log/transaction_index.h"
#include "common/check.h"
#include "tests/fuzz/driver.h"
#include "tests/support/memory_files.h"

#define PATH "/00000000000000000000.txnindex"
#define END_OFFSET ((int64_t)1 << 40)

struct seen {
    int64_t last_offset;
    size_t count;
};

static void see(void *context, const struct aborted_transaction *entry)
{
    struct seen *seen = context;
    CHECK(entry->producer_id >= 0 && entry->first_offset >= 0 && entry->first_offset < entry->last_offset);
    CHECK(entry->last_offset > seen->last_offset && entry->last_offset < INT64_MAX);
    seen->last_offset = entry->last_offset;
    seen->count++;
}

static void change(struct transaction_index *index, int64_t cut, int added)
{
    bool name_changed = false;
    transaction_index_truncate(index, cut);
    for (int i = 0; i < added; i++) {
        int64_t last = index->count > 0 ? index->entries[index->count - 1].last_offset : cut;
        const struct aborted_transaction entry = {i, last, last + 2, last + 3};
        transaction_index_append(index, &entry);
    }
    int error = transaction_index_write(index, &name_changed);
    CHECK(error == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct memory_files *disk = memory_files_new(1);
    struct file_system *files = memory_files_system(disk);
    struct transaction_index index, again;
    int error = file_system_replace(files, PATH, data + 2, size - 2);
    CHECK(error == 0);
    transaction_index_init(&index, files, PATH);
    transaction_index_init(&again, files, PATH);
    error = transaction_index_load(&index, 0, END_OFFSET);
    CHECK(error == 0 || error == -EBADMSG);
    if (error)
        transaction_index_restart(&index);
    struct seen seen = {.last_offset = -1};
    (void)transaction_index_collect(&index, 0, INT64_MAX, see, &seen);
    CHECK(error || seen.count == (size - 2) / TRANSACTION_INDEX_ENTRY_BYTES);
    change(&index, data[0], data[1] % 8);
    error = transaction_index_load(&again, 0, INT64_MAX);
    CHECK(error == 0 && again.count == index.count);
    CHECK(index.count == 0 ||
          memcmp(index.entries, again.entries, index.count * sizeof(*index.entries)) == 0);
    transaction_index_release(&index);
    transaction_index_release(&again);
    memory_files_free(disk);
    return 0;
}
