/* SPDX-License-Identifier: Apache-2.0 */
/* Limited log lines by kind and address. */
#include "broker/net/notice.h"

#include <inttypes.h>
#include <stdarg.h>

#include "common/buffer.h"

/* FNV-1a; the table is small and a collision costs a log line only. */
static uint64_t hash_bytes(uint64_t hash, struct slice bytes)
{
    for (size_t i = 0; i < bytes.length; i++)
        hash = (hash ^ bytes.data[i]) * 0x100000001b3ULL;
    return hash;
}

void notice_write(struct notice_table *table, int64_t now_ms, const char *kind, struct slice address,
                  const char *format, ...)
{
    if (table->logger == NULL)
        return;
    uint64_t hash = hash_bytes(hash_bytes(0xcbf29ce484222325ULL, slice_of(kind)), address);
    uint64_t suppressed;
    if (!log_limiter_allow(&table->entries[(hash ^ hash >> 32) % NOTICE_ENTRIES], now_ms, &suppressed))
        return;
    struct buffer text;
    buffer_init(&text);
    va_list arguments;
    va_start(arguments, format);
    buffer_print_list(&text, format, arguments);
    va_end(arguments);
    if (suppressed > 0)
        buffer_print(&text, " (%" PRIu64 " more of this kind were not logged)", suppressed);
    log_warn(table->logger, "net", "%s", buffer_string(&text));
    buffer_release(&text);
}
