/* SPDX-License-Identifier: Apache-2.0 */
/* For those who implement the client table of coordinator/zk/zk.h: the real session, the simulator, tests. */
#ifndef COORDINATOR_ZK_ZK_RESPONSE_H
#define COORDINATOR_ZK_ZK_RESPONSE_H

#include "coordinator/zk/zk.h"

/*
 * Turns the response to a multi as it was sent into what the caller sees. Called with culprit and outcomes
 * counted as sent; `fenced`, as it came with the write, says that the first operation is the fence's check:
 * it is taken out, and when it was the culprit, the response says fenced with ZK_BAD_VERSION.
 */
void zk_response_finish_multi(struct zk_response *response, bool fenced);

#endif
