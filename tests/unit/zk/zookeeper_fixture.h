/* SPDX-License-Identifier: Apache-2.0 */
/* A private ZooKeeper for tests in C, through tests/zookeeper/zookeeper.py. */
#ifndef TESTS_UNIT_ZK_ZOOKEEPER_FIXTURE_H
#define TESTS_UNIT_ZK_ZOOKEEPER_FIXTURE_H

#include "common/base.h"

struct loop;
struct zk_session;
struct zookeeper_fixture;

/* Starts a server; NULL when Java or ZooKeeper is not installed (then the test skips). */
struct zookeeper_fixture *zookeeper_fixture_new(void);
/* Stops it and removes its data. NULL is fine. */
void zookeeper_fixture_free(struct zookeeper_fixture *fixture);
/* "127.0.0.1:port". */
const char *zookeeper_fixture_address(const struct zookeeper_fixture *fixture);
/* A session that is not started, with `chroot` ("/..." or ""); freed by zk_session_free. */
struct zk_session *zookeeper_fixture_session(const struct zookeeper_fixture *fixture, struct loop *loop,
                                             const char *chroot, int64_t timeout_ms);
/* One of "pause", "resume", "kill", "stop", "start"; done when it returns. */
void zookeeper_fixture_command(struct zookeeper_fixture *fixture, const char *command);

#endif
