/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests to controllers and random znodes, sensible ones and others. Each takes one of the topics
 * t0..t3, and asks the controller in office, or now and then another one.
 */
#ifndef TESTS_UNIT_CONTROLLER_RANDOM_REQUESTS_H
#define TESTS_UNIT_CONTROLLER_RANDOM_REQUESTS_H

#include "tests/unit/controller/world.h"

#define RANDOM_TOPICS 4

/* Clients. */
void random_create_topics(struct world *world);
void random_delete_topics(struct world *world);
void random_create_partitions(struct world *world);
void random_reassign(struct world *world);
void random_elect_preferred(struct world *world);
void random_elect_unclean(struct world *world);

/* Old tools: znodes, with garbage now and then (B49). */
void random_tool_creates(struct world *world);
void random_tool_grows(struct world *world);
void random_tool_deletes(struct world *world);
void random_tool_reassigns(struct world *world);
void random_tool_elects(struct world *world);
void random_tool_garbage(struct world *world);
void random_tool_min_isr(struct world *world);
void random_tool_unclean(struct world *world);
void random_tool_removes_controller(struct world *world);

/* One of the topics' names. */
const char *random_topic(struct world *world, char name[64]);
/* The topic as it stands; false: it is not there. To be released. */
bool random_read_topic(struct world *world, const char *name, struct node_topic *node);
/* Some brokers, each once; at least one. */
size_t random_brokers(struct world *world, int32_t ids[WORLD_BROKERS_MAX]);
/* Who is asked: the controller in office, or now and then any that is alive. NULL: nobody is. */
struct world_broker *random_controller(struct world *world);

#endif
