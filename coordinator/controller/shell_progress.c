/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an operator wants to read after a broker has died, come back or taken office: how long it took until
 * every partition had its leader again, until all states were written, and until all brokers had been told.
 * It only looks and logs; nothing depends on it.
 */
#include <inttypes.h>

#include "coordinator/controller/shell.h"

void shell_progress_begin(struct controller *controller)
{
    struct progress *progress = &controller->progress;
    if (!progress->running)
        *progress = (struct progress){.running = true, .began_ms = controller->now_ms};
    progress->elected = progress->written = false;
}

void shell_progress_note(struct controller *controller, size_t states, size_t urgent)
{
    controller->progress.states += states;
    controller->progress.urgent += urgent;
    controller->progress.multis++;
}

void shell_progress_pump(struct controller *controller)
{
    struct progress *progress = &controller->progress;
    const struct image *image = &controller->image;
    int64_t passed_ms = controller->now_ms - progress->began_ms;
    if (!progress->running)
        return;
    if (!progress->elected && list_is_empty(&image->urgent) && controller->urgent_writes_in_flight == 0) {
        progress->elected = true;
        progress->elected_ms = passed_ms;
    }
    if (!progress->written && progress->elected && !image_has_dirty(image) &&
        controller->writes_in_flight == 0) {
        progress->written = true;
        progress->written_ms = passed_ms;
        progress->sequence = image->sequence;
    }
    if (!progress->written || !shell_all_told(controller, progress->sequence))
        return;
    progress->running = false;
    log_info(controller->logger, SHELL_AREA,
             "settled: %zu elections written after %" PRId64 " ms, %zu states in %zu multis after %" PRId64
             " ms, brokers told after %" PRId64 " ms",
             progress->urgent, progress->elected_ms, progress->states, progress->multis, progress->written_ms,
             passed_ms);
}
