"""
Records are gone that a stage had not read (a topic that was kept for too short a time): it stops with its
status, goes on from what there is when it is told to, and a snapshot brings what was in them.
"""

import time

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from bed import topics, wait_until
from bed.daemons import STAGES, last_error
from bed.runbook import Admin

SETS = {"control.key": "a key for tests that is long enough", "kafka.session.timeout.ms": 6000}
POSITION_LOST = 5


@pytest.fixture
def world(new_world):
    world = new_world(sets=SETS)
    world.work.populate(2, actions=15)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    return world


def passed_on(world, stage):
    """Waits until the stage has passed on all that was committed at the source before this call."""
    since_us = (int(time.time()) + 1) * 1000000

    def done():
        status = world.daemons.status(stage)
        return status.get("time_us", 0) - status.get("lag_us", 1 << 60) > since_us
    wait_until(done, 60, f"{stage} to have passed on what there is")


def lose(world, topic):
    """All records that a topic has now: somebody has let it be cut."""
    name = f"{world.prefix}.{topic}"
    admin = AdminClient({"bootstrap.servers": world.bed.kafka.bootstrap})
    policy = ConfigEntry("cleanup.policy", "compact,delete", incremental_operation=AlterConfigOpType.SET)
    for done in admin.incremental_alter_configs(
            [ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[policy])]).values():
        done.result(60)
    parts = [TopicPartition(name, p, -1) for p in range(topics.names(world.bed.kafka.bootstrap)[name])]

    def cut():
        """Refused until the broker, too, knows of the policy that the controller has taken."""
        try:
            for done in admin.delete_records(parts).values():
                done.result(60)
        except KafkaException as e:
            if e.args[0].code() != KafkaError.POLICY_VIOLATION:
                raise
            return False
        return True

    wait_until(cut, 60, f"{name} to be cut")


def bring_again(world, admin):
    admin.say("lockstep snapshot start --all")
    world.daemons.wait_snapshot()
    for stage in STAGES:  # what is lost is missing in the counters of who comes after: they do not tell
        passed_on(world, stage)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []


def ends_with_5(world, stage):
    process = world.daemons.spawn(stage)
    assert process.wait(60) == POSITION_LOST
    last = last_error(world.daemons.log_lines(stage))
    assert last["cause"] == "offset-lost", last


def test_apply_stops_and_goes_on_from_the_beginning_of_what_there_is(world):
    world.daemons.stop("apply")
    world.work.run(actions=20)
    passed_on(world, "transform")
    lose(world, "cs3.resource")
    ends_with_5(world, "apply")
    admin = Admin(world.daemons)
    admin.follow("records-lost", "apply")
    world.daemons.wait_ready("apply")
    bring_again(world, admin)


def reset_group(world):
    """As kafka-consumer-groups.sh --reset-offsets --to-earliest does; the group must have no member any more."""
    admin = AdminClient({"bootstrap.servers": world.bed.kafka.bootstrap})
    group = f"{world.prefix}-transform"
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group]
    parts = [TopicPartition(p.topic, p.partition, 0) for p in asked.result(60).topic_partitions]
    assert parts

    def reset():
        try:
            wanted = [TopicPartition(p.topic, p.partition, topics_begin(world, p)) for p in parts]
            done = admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])
            return all(p.error is None for p in done[group].result(60).topic_partitions)
        except KafkaException:
            return False
    wait_until(reset, 90, "the group to be without members")


def topics_begin(world, part):
    consumer = Consumer({"bootstrap.servers": world.bed.kafka.bootstrap, "group.id": "test"})
    try:
        return topics.ends(consumer, part.topic, part.partition)[0]
    finally:
        consumer.close()


def test_transform_stops_and_goes_on_where_its_group_is_put(world):
    world.daemons.stop("transform")
    world.work.run(actions=20)
    passed_on(world, "capture")
    lose(world, "oc10.oc_filecache")
    ends_with_5(world, "transform")
    reset_group(world)
    world.daemons.start("transform")
    bring_again(world, Admin(world.daemons))
