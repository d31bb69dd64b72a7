/* SPDX-License-Identifier: Apache-2.0 */
/* `barnabas dump-log`: its options, which are those of Kafka's tool, and the run over the files. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/memory.h"
#include "tools/dump_log.h"
#include "tools/tool.h"

static const struct option_row rows[] = {
    {"cluster-metadata-decoder", OPTION_FLAG, NULL,
     "Not supported: a cluster that ZooKeeper coordinates has no log of metadata."},
    {"deep-iteration", OPTION_FLAG, NULL,
     "Look at each record, also inside compressed batches, and not only at the batches. Set by "
     "--print-data-log too."},
    {"files", OPTION_VALUE, "String: file1, file2, ...",
     "REQUIRED: The files to dump, with commas between them: .log, .index, .timeindex, .txnindex and "
     ".snapshot files of a partition's folder. They are only read, and a broker may be running on them."},
    {"help", OPTION_FLAG, NULL, "Print usage information."},
    {"index-sanity-check", OPTION_FLAG, NULL,
     "Of index files, check only what a broker checks when it starts, and print no entries."},
    {"key-decoder-class", OPTION_OPTIONAL_VALUE, "String",
     "How keys are printed: org.apache.kafka.tools.api.StringDecoder (text in UTF-8) is the only way here."},
    {"max-bytes", OPTION_VALUE, "Integer: size",
     "Read no more than this many bytes of each .log file (default: all of it)."},
    {"max-message-size", OPTION_VALUE, "Integer: size",
     "The largest batch that an index entry may point to (default: 5242880)."},
    {"offsets-decoder", OPTION_FLAG, NULL, "Not supported: prints records of __consumer_offsets in words."},
    {"print-data-log", OPTION_FLAG, NULL, "Print the key and the value of each record."},
    {"remote-log-metadata-decoder", OPTION_FLAG, NULL, "Not supported: there is no remote storage."},
    {"skip-record-metadata", OPTION_FLAG, NULL, "Print of each record only its key and value."},
    {"transaction-log-decoder", OPTION_FLAG, NULL,
     "Not supported: prints records of __transaction_state in words."},
    {"value-decoder-class", OPTION_OPTIONAL_VALUE, "String",
     "How values are printed; as --key-decoder-class."},
    {"verify-index-only", OPTION_FLAG, NULL,
     "Of index files, compare the entries with the log, and print only those that are wrong."},
    {"version", OPTION_FLAG, NULL, "Display the version."},
};

static int refuse_unsupported(const struct options *options, struct buffer *error)
{
    static const char *const unsupported[] = {"cluster-metadata-decoder", "offsets-decoder",
                                              "remote-log-metadata-decoder", "transaction-log-decoder"};
    for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++) {
        if (options_has(options, unsupported[i])) {
            buffer_print(error, "--%s is not supported. Without it records are printed as text.",
                         unsupported[i]);
            return -EINVAL;
        }
    }
    static const char *const decoders[] = {"key-decoder-class", "value-decoder-class"};
    for (size_t i = 0; i < ARRAY_SIZE(decoders); i++) {
        const char *name = options_value(options, decoders[i]);
        if (name != NULL && strcmp(name, "org.apache.kafka.tools.api.StringDecoder") != 0 &&
            strcmp(name, "kafka.serializer.StringDecoder") != 0) {
            buffer_print(error,
                         "--%s: %s is not supported, only org.apache.kafka.tools.api.StringDecoder is.",
                         decoders[i], name);
            return -EINVAL;
        }
    }
    return 0;
}

static int read_request(const struct options *options, struct dump_request *request, struct buffer *error)
{
    int rc = options_require(options, "files", error);
    if (rc == 0)
        rc = refuse_unsupported(options, error);
    if (rc == 0)
        rc = options_integer(options, "max-bytes", 0, INT32_MAX, &request->max_bytes, error);
    if (rc == 0)
        rc = options_integer(options, "max-message-size", 1, INT32_MAX, &request->max_message_bytes, error);
    request->print_data = options_has(options, "print-data-log") ||
                          options_has(options, "key-decoder-class") ||
                          options_has(options, "value-decoder-class");
    request->deep = request->print_data || options_has(options, "deep-iteration");
    request->verify_index_only = options_has(options, "verify-index-only");
    request->index_sanity_check = options_has(options, "index-sanity-check");
    request->skip_record_metadata = options_has(options, "skip-record-metadata");
    return rc;
}

/* As Java does with the name of a file: slashes that add nothing go. */
static void normalise(char *path)
{
    char *to = path;
    for (const char *from = path; *from != '\0'; from++)
        if (*from != '/' || to == path || to[-1] != '/')
            *to++ = *from;
    if (to > path + 1 && to[-1] == '/')
        to--;
    *to = '\0';
}

static int run(const struct options *options)
{
    struct dump dump;
    struct buffer error;
    int status = 1;
    buffer_init(&error);
    dump_init(&dump, file_system_posix(), stdout, stderr);
    if (read_request(options, &dump.request, &error) < 0) {
        status = tool_wrong_use(buffer_string(&error));
    } else {
        /* On one terminal the bar would run into the lines. */
        bool quiet = dump.request.verify_index_only || dump.request.index_sanity_check;
        dump.show_progress = isatty(STDERR_FILENO) && (quiet || !isatty(STDOUT_FILENO));
        char *list = memory_copy_string(options_value(options, "files"));
        char *position = list;
        for (char *path; (path = strsep(&position, ",")) != NULL;) {
            normalise(path);
            if (path[0] != '\0')
                dump_path(&dump, path);
        }
        dump_print_findings(&dump);
        dump_finish(&dump);
        status = dump.damaged ? 1 : 0;
        free(list);
    }
    dump_release(&dump);
    buffer_release(&error);
    return status;
}

const struct tool dump_log_tool = {
    .name = "dump-log",
    .summary = "print what is in the files of a log",
    .purpose =
        "This tool helps to parse a log file and dump its contents to the console, useful for debugging a "
        "seemingly corrupt log segment.",
    .rows = rows,
    .row_count = ARRAY_SIZE(rows),
    .run = run,
};
