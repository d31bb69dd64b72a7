# SPDX-License-Identifier: Apache-2.0
"""
Networks that are cut, lose, crawl and reset (F10 to F19).
"""
from bed import LAG_TIME_MS, RESUME_SECONDS, SESSION_TIMEOUT_MS
from inject import (NETWORK, Cut, Loss, Reset, Slow, both_ways, broker_hosts, client_host, zookeeper_hosts)
from load import CANARY
from registry import scenario
from scenarios.processes import some_leader

SESSION_SECONDS = SESSION_TIMEOUT_MS / 1000
LAG_SECONDS = LAG_TIME_MS / 1000
# What was cut has to wait for its next retransmission, which comes at most this long after the cut ended.
AFTER_CUT_SECONDS = RESUME_SECONDS + 20


def other_broker(trial, *besides):
    return trial.chance.choice([broker for broker in trial.bed.brokers.values() if broker not in besides])


def two_brokers(trial):
    """
    Two brokers to cut from each other, and whether writes must go on: they wait where a leader cannot reach the
    controller, for the shrinking of its ISR is the controller's to write.
    """
    pair = trial.chance.sample(list(trial.bed.brokers.values()), 2)
    return pair, trial.bed.controller() not in pair


def under_cut(trial, pairs, must_go_on):
    """Two brokers do not reach each other in some way: writes go on if they must, and in the end."""
    with trial.during(Cut(trial.bed, pairs)):
        trial.hold(1)
        if must_go_on:
            trial.expect_writes(LAG_SECONDS * 1.5 + RESUME_SECONDS)
        else:
            trial.note("one of them is the controller: writes may wait")
        trial.hold(LAG_SECONDS * 2)
    recover(trial)


def wait_under_cut(trial, pairs):
    """A cut in which writes may wait: they go on in the end."""
    with trial.during(Cut(trial.bed, pairs)):
        trial.hold(LAG_SECONDS * 3)
    recover(trial)


def recover(trial):
    trial.expect_writes(AFTER_CUT_SECONDS)
    trial.settle(45)


@scenario("cut-brokers", "F10", "two brokers cannot reach each other", seconds=40, needs=(NETWORK,))
def cut_brokers(trial):
    for _ in trial.rounds():
        (one, other), must_go_on = two_brokers(trial)
        under_cut(trial, both_ways([one.host], [other.host]), must_go_on)


@scenario("cut-one-way", "F11", "one broker is not heard by another", seconds=40, needs=(NETWORK,))
def cut_one_way(trial):
    for _ in trial.rounds():
        (one, other), must_go_on = two_brokers(trial)
        under_cut(trial, [(one.host, other.host)], must_go_on)


@scenario("leader-without-brokers", "F12", "a leader reaches ZooKeeper and clients, and no broker", seconds=40,
          needs=(NETWORK,))
def leader_without_brokers(trial):
    for _ in trial.rounds():
        leader = some_leader(trial)
        wait_under_cut(trial, both_ways([leader.host], broker_hosts(trial.bed, leader)))


@scenario("leader-without-zookeeper", "F13", "a leader reaches everyone but ZooKeeper, for three sessions", seconds=40,
          needs=(NETWORK,))
def leader_without_zookeeper(trial):
    for _ in trial.rounds():
        leader = some_leader(trial)
        with trial.during(Cut(trial.bed, both_ways([leader.host], zookeeper_hosts(trial.bed)))):
            trial.hold(SESSION_SECONDS)
            trial.expect_writes(RESUME_SECONDS + LAG_SECONDS)
            trial.hold(SESSION_SECONDS * 2)
        recover(trial)


@scenario("controller-not-heard", "F14", "the controller is not heard by one broker", seconds=30, needs=(NETWORK,))
def controller_not_heard(trial):
    for _ in trial.rounds():
        controller = trial.bed.controller()
        wait_under_cut(trial, [(controller.host, other_broker(trial, controller).host)])


@scenario("ring", "F15", "A and B, B and C, but not A and C", seconds=30, needs=(NETWORK,))
def ring(trial):
    for _ in trial.rounds():
        (one, other), must_go_on = two_brokers(trial)
        with trial.during(Cut(trial.bed, both_ways([one.host], [other.host]))):
            trial.hold(1)
            if must_go_on:
                trial.expect_writes(LAG_SECONDS * 1.5 + RESUME_SECONDS)
            epochs = leader_epochs(trial)
            trial.hold(SESSION_SECONDS * 3)
            moved = sum(after - epochs[where] for where, after in leader_epochs(trial).items())
            assert moved <= 3 * len(epochs), "leaders changed %d times in three sessions" % moved
        recover(trial)


def leader_epochs(trial):
    return {partition: trial.bed.znode("/brokers/topics/%s/partitions/%d/state" % (CANARY, partition))["leader_epoch"]
            for partition in trial.bed.partitions(CANARY)}


@scenario("lossy", "F16", "links between brokers, and to ZooKeeper, lose 5 to 30 %", seconds=40, needs=(NETWORK,))
def lossy(trial):
    hosts = broker_hosts(trial.bed)
    pairs = both_ways(hosts, hosts) + both_ways(hosts, zookeeper_hosts(trial.bed))
    for _ in trial.rounds():
        with trial.during(Loss(trial.bed, pairs, trial.chance.randrange(5, 31), trial.chance.randrange(1 << 30))):
            trial.hold(15)
        trial.expect_writes(AFTER_CUT_SECONDS)
    trial.settle(45)


@scenario("resets", "F17", "connections of a broker are reset, every second", seconds=30, needs=(NETWORK,))
def resets(trial):
    for _ in trial.rounds():
        trial.once(Reset(trial.bed, trial.broker()))
        trial.hold(1)
    trial.expect_writes(AFTER_CUT_SECONDS)
    trial.settle()


@scenario("stall", "F18", "a broker and the clients do not hear each other for 20 s", seconds=30, needs=(NETWORK,))
def stall(trial):
    for _ in trial.rounds():
        with trial.during(Cut(trial.bed, both_ways([some_leader(trial).host], [client_host()]))):
            trial.hold(20)
        trial.expect_writes(AFTER_CUT_SECONDS)
    trial.settle()


@scenario("slow-follower", "F19", "what a broker sends goes at 256 kbit/s", seconds=30, needs=(NETWORK,))
def slow_follower(trial):
    broker = trial.broker()
    with trial.during(Slow(trial.bed, broker, 256)):
        for _ in trial.rounds():
            trial.hold(1)
    trial.expect_writes(AFTER_CUT_SECONDS)
    trial.settle(60)
