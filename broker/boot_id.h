/* SPDX-License-Identifier: Apache-2.0 */
/* Which boot of the machine this is: what a killed process has written is there in the same one, for sure. */
#ifndef BROKER_BOOT_ID_H
#define BROKER_BOOT_ID_H

/* The kernel's name for this boot; NULL where it has none. free() it. */
char *boot_id_read(void);

#endif
