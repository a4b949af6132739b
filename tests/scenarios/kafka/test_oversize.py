"""A record that a topic does not take is one dead letter, and everything else goes on."""

from bed import topics, wait_until
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource,
                                   NewTopic, ResourceType)

import envelopes

LIMIT = 50000


def admin(capture):
    return AdminClient({"bootstrap.servers": capture.bootstrap})


def share(capture, first, last, size):
    capture.sql("INSERT INTO oc_share(id, uid_owner, attributes) "
                f"SELECT seq, 'a', REPEAT('x', {size}) FROM seq_{first}_to_{last}")


def wait_limit(capture, topic):
    """Until the broker goes by the limit: that it is set is the controller's word, which comes first."""
    producer = Producer({"bootstrap.servers": capture.bootstrap, "transactional.id": f"{topic}-limit"})
    producer.init_transactions(60)

    def refused():
        answers = []
        producer.begin_transaction()
        producer.produce(topic, b"x" * (LIMIT + 5000), on_delivery=lambda why, _: answers.append(why))
        producer.flush(60)
        producer.abort_transaction(60)  # nobody sees those that it took
        return answers and answers[0] and answers[0].code() == KafkaError.MSG_SIZE_TOO_LARGE

    wait_until(refused, 60, "the broker to know its limit")


def check(capture, large, small):
    status = capture.drain(60)
    assert status["dead"] == {"too-large": len(large)} and status["balance"] == 0
    letters = topics.dead_letters(capture.bootstrap, capture.prefix)
    assert [r["headers"]["cause"] for r in letters] == ["too-large"] * len(large)
    assert [envelopes.decode("share", r["value"])["after"] for r in letters] == [
        {"id": k} for k in large]
    assert [int(r["key"]) for r in capture.rows("share")] == small


def test_a_topic_with_a_smaller_limit_takes_all_that_fits(new_capture):
    capture = new_capture()
    client = admin(capture)
    topic = NewTopic(f"{capture.prefix}.oc10.oc_share", 1, 1,
                     config={"max.message.bytes": str(LIMIT), "cleanup.policy": "compact"})
    for future in client.create_topics([topic]).values():
        future.result(120)
    capture.start()
    # together in one batch they would be too large, alone they are not
    share(capture, 1, 12, LIMIT // 3)
    share(capture, 13, 13, LIMIT + 5000)
    share(capture, 14, 16, LIMIT // 3)
    check(capture, [13], [*range(1, 13), 14, 15, 16])


def test_a_limit_that_is_lowered_while_capture_runs_ends_in_a_dead_letter(new_capture):
    capture = new_capture()
    capture.start()
    share(capture, 1, 3, 40000)
    capture.drain()
    client = admin(capture)
    resource = ConfigResource(
        ResourceType.TOPIC, f"{capture.prefix}.oc10.oc_share", incremental_configs=[
            ConfigEntry("max.message.bytes", str(LIMIT),
                        incremental_operation=AlterConfigOpType.SET)])
    for future in client.incremental_alter_configs([resource]).values():
        future.result(120)
    wait_limit(capture, f"{capture.prefix}.oc10.oc_share")
    share(capture, 4, 4, LIMIT + 5000)
    share(capture, 5, 12, LIMIT // 3)
    check(capture, [4], [1, 2, 3, *range(5, 13)])
    assert capture.site.running["capture"].alive()
