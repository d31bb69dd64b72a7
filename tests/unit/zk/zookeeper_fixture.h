/* SPDX-License-Identifier: Apache-2.0 */
/* A private ZooKeeper for tests in C, through tests/zookeeper/zookeeper.py. */
#ifndef TESTS_UNIT_ZK_ZOOKEEPER_FIXTURE_H
#define TESTS_UNIT_ZK_ZOOKEEPER_FIXTURE_H

#include "common/base.h"

struct zookeeper_fixture;

/* Starts a server; NULL when Java or ZooKeeper is not installed (then the test skips). */
struct zookeeper_fixture *zookeeper_fixture_new(void);
/* Stops it and removes its data. NULL is fine. */
void zookeeper_fixture_free(struct zookeeper_fixture *fixture);
/* "127.0.0.1:port". */
const char *zookeeper_fixture_address(const struct zookeeper_fixture *fixture);
/* One of "pause", "resume", "kill", "stop", "start"; done when it returns. */
void zookeeper_fixture_command(struct zookeeper_fixture *fixture, const char *command);

#endif
