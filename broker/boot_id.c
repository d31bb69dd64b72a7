/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the kernel's name for this boot. */
#include "broker/boot_id.h"

#include <stdio.h>

#include "common/memory.h"

#define BOOT_ID_BYTES_MAX 64

char *boot_id_read(void)
{
    char id[BOOT_ID_BYTES_MAX] = "";
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL)
        return NULL;
    size_t length = fread(id, 1, sizeof(id) - 1, file);
    fclose(file);
    while (length > 0 && id[length - 1] == '\n')
        length--;
    return length > 0 ? memory_copy_bytes(id, length) : NULL;
}
