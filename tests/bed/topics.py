"""
Reading and writing Lockstep's topics from a test, by confluent-kafka (in build/venv).

Records are read committed and whole topics at a time: tests are small. A record is a dict with
topic, partition, offset, key (text), value (bytes or None) and headers (name -> text).
"""

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from .process import BedError, wait_until

# a partition that was made a moment ago has no leader yet, or one that does not know of it
NO_LEADER_YET = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE,
                 KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION)
# no more to come: all was read, or somebody has deleted the topic
AT_ITS_END = (KafkaError._PARTITION_EOF, KafkaError.UNKNOWN_TOPIC_OR_PART,
              KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC)


def _consumer(bootstrap, reset="latest"):
    """The broker says that a partition is at its end only after fetch.wait.max.ms without data."""
    return Consumer({"bootstrap.servers": bootstrap, "group.id": "test",
                     "enable.auto.commit": False, "isolation.level": "read_committed",
                     "enable.partition.eof": True, "auto.offset.reset": reset,
                     "fetch.wait.max.ms": 10})


def names(bootstrap):
    """The topics there are: name -> number of partitions."""
    found = AdminClient({"bootstrap.servers": bootstrap}).list_topics(timeout=60).topics
    return {name: len(topic.partitions) for name, topic in found.items()}


def ends(consumer, topic, partition=0):
    """The first offset of a partition and the one behind its last; waits for its leader."""
    def ask():
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, partition), 60)
        except KafkaException as e:
            if e.args[0].code() in NO_LEADER_YET:
                return None
            raise
    return wait_until(ask, 60, f"the leader of {topic}")


def read(bootstrap, topic, seconds=120):
    """
    All records of a topic up to its end now; an unknown topic has none. BedError when none came
    for so many seconds. Partition by partition, each in its order.
    """
    partitions = names(bootstrap).get(topic, 0)
    consumer = _consumer(bootstrap, "earliest")
    out, left, end = [], set(), time.monotonic() + seconds
    try:
        parts = [TopicPartition(topic, p, 0) for p in range(partitions)]
        left = {p.partition for p in parts}
        if parts:
            consumer.assign(parts)
        while left:
            if time.monotonic() > end:
                raise BedError(f"reading {topic}: nothing came for {seconds} s")
            message = consumer.poll(0.2)
            if message is None:
                continue
            end = time.monotonic() + seconds
            if message.error():
                if message.error().code() in AT_ITS_END:
                    left.discard(message.partition())
                continue
            out.append({
                "topic": topic, "partition": message.partition(), "offset": message.offset(),
                "key": (message.key() or b"").decode(errors="replace"), "value": message.value(),
                "headers": {k: (v or b"").decode(errors="replace")
                            for k, v in message.headers() or []}})
    finally:
        consumer.close()
    out.sort(key=lambda record: record["partition"])  # stable
    return out


def make(bootstrap, *topics):
    """Compacted topics of one partition, as the daemons make those of states."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    new = [NewTopic(t, 1, 1, config={"cleanup.policy": "compact"}) for t in topics]
    for made in admin.create_topics(new).values():
        made.result(60)


def delete(bootstrap, *topics):
    """Topics that somebody deleted; returns when they are not there any more."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.delete_topics(list(topics), operation_timeout=30).values():
        done.result(60)
    wait_until(lambda: not set(topics) & names(bootstrap).keys(), 60, "topics to be gone")


def last(bootstrap, topic, key):
    """The newest value under a key of a topic with one partition, read from the end backwards."""
    consumer = _consumer(bootstrap)
    try:
        first, end = ends(consumer, topic)
        step, found = 16, None
        while found is None:
            at = max(first, end - step)
            consumer.assign([TopicPartition(topic, 0, at)])
            for message in iter(lambda: consumer.poll(60), None):
                if message.error():
                    if message.error().code() in AT_ITS_END:
                        break
                    continue
                if message.key() == key.encode():
                    found = message.value()
            if at == first:
                break
            step *= 16
        return found
    finally:
        consumer.close()


def dead_letters(bootstrap, prefix="lockstep"):
    return read(bootstrap, f"{prefix}.dlq")


def send(bootstrap, topic, key, value, partition=0, headers=None):
    """Puts one record of any bytes into a topic."""
    producer = Producer({"bootstrap.servers": bootstrap})
    producer.produce(topic, key=key, value=value, partition=partition,
                     headers=list((headers or {}).items()))
    if producer.flush(60):
        raise BedError(f"could not send to {topic}")
