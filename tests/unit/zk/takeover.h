/* SPDX-License-Identifier: Apache-2.0 */
/* Expires a session on purpose: a second handle takes it over by id and password, and closes it. */
#ifndef TESTS_UNIT_ZK_TAKEOVER_H
#define TESTS_UNIT_ZK_TAKEOVER_H

#include "common/base.h"

struct zk_session;

/* True when the session has been ended at the server at `address`; the session itself learns of it later. */
bool session_expire(const char *address, const struct zk_session *session);

#endif
