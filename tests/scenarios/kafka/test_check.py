"""What `lockstep check --kafka` says of the topics as they stand in real brokers."""

import json
import types

from bed import BedError, wait_until
from bed.daemons import Daemons
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic


def document(text):
    """What was printed, behind what librdkafka may have logged of connections."""
    return json.loads(text[text.index("{\n"):])


def check(capture, *args):
    """(exit status, {what was found: (level, what to do)})"""
    status, text = capture.site.lockstep("check", "--kafka", "--json", *args)
    lines = document(text)["lines"]
    assert {line["about"] for line in lines} == {"kafka"}
    return status, {line["found"]: (line["level"], line.get("todo")) for line in lines}


def check_says(capture, want):
    """Waits until a check finds each of these texts at its level: a broker hears of a change some
    moments after the controller has it. Then as check()."""
    last = [None]

    def there():
        last[0] = check(capture)
        return all(last[0][1].get(text, [""])[0] == level for text, level in want.items())
    try:
        wait_until(there, 60, "what check says")
    except BedError:
        raise AssertionError(f"wanted {want}, got {last[0]}") from None
    return last[0]


def alter(capture, topic, **settings):
    entries = [ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
               for name, value in settings.items()]
    resource = ConfigResource(ConfigResource.Type.TOPIC, f"{capture.prefix}.{topic}",
                              incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": capture.bootstrap})
    for done in admin.incremental_alter_configs([resource]).values():
        done.result(120)


def make(capture, **partitions):
    admin = AdminClient({"bootstrap.servers": capture.bootstrap})
    for done in admin.create_topics([NewTopic(f"{capture.prefix}.{name.replace('__', '.')}", n, 1)
                                     for name, n in partitions.items()]).values():
        done.result(120)


def test_topics_that_the_daemons_made_are_as_they_must_be_but_for_their_one_copy(new_capture):
    capture = new_capture()
    capture.start(snapshot=False)
    # a status is in the topic some moments after /readyz
    wait_until(lambda: any(text.endswith(" here, the same Lockstep in capture/1")
                           for text in check(capture)[1]), 60, "capture's version")
    status, found = check(capture)
    assert status == 0, found
    prefix = capture.prefix
    assert found[f"topic {prefix}.oc10.oc_filecache has 4 partitions"] == ("pass", None)
    assert found[f"topic {prefix}.cs3.share is not there yet, it will be made"] == ("pass", None)
    warned = [text for text, (level, _) in found.items() if level not in ("pass", "note")]
    assert len(warned) == 2 and ": one replica (and so it is with " in warned[0], warned
    assert warned[1].startswith("Kafka asks nobody for rights: ")
    assert any(text.startswith("1 brokers, Kafka 4.0 or newer") for text in found)


def test_a_topic_that_is_kept_otherwise_is_named_with_what_to_do(new_capture):
    capture = new_capture()
    capture.start(snapshot=False)
    alter(capture, "oc10.oc_share", cleanup_policy="delete")
    alter(capture, "oc10.oc_filecache", delete_retention_ms="60000", min_compaction_lag_ms="5",
          max_message_bytes="9000", unclean_leader_election_enable="true")
    alter(capture, "position", segment_bytes="1073741824")
    alter(capture, "status", min_insync_replicas="2")
    alter(capture, "dlq", cleanup_policy="compact,delete", retention_ms="3600000",
          retention_bytes="1000000")
    want = {
        "oc10.oc_share: cleanup.policy = delete": "fail",
        "oc10.oc_filecache: delete.retention.ms = 60000": "warn",
        "oc10.oc_filecache: min.compaction.lag.ms = 5": "warn",
        "oc10.oc_filecache: max.message.bytes = 9000": "fail",
        "oc10.oc_filecache: unclean.leader.election.enable = true": "warn",
        "position: segment.bytes = 1073741824": "warn",
        "status: 1 replicas, min.insync.replicas = 2": "fail",
        "dlq: cleanup.policy = compact,delete": "fail",
        "dlq: retention.ms = 3600000": "warn",
        "dlq: retention.bytes = 1000000": "warn",
    }
    status, found = check_says(capture, {f"topic {capture.prefix}.{text}": level
                                         for text, level in want.items()})
    assert status == 3
    assert all(todo for level, todo in found.values() if level in ("warn", "fail"))


def test_what_is_wrong_in_many_topics_is_one_line(new_capture):
    capture = new_capture(sets={"lockstep.create_topics": "false", "lockstep.replication": 3})
    make(capture, oc10__oc_filecache=3, oc10__oc_share=1, oc10__oc_users=2, cs3__share=1)
    prefix = capture.prefix
    status, found = check_says(capture, {
        f"topic {prefix}.oc10.oc_filecache: cleanup.policy = delete (and so it is with 3 more)": "fail",
        f"topic {prefix}.oc10.oc_users has 2 partitions, not what [lockstep] partitions says": "fail",
        f"topic {prefix}.position is not there yet": "fail"})
    assert status == 3
    assert any(" are to be made with 3 replicas, there are 1 brokers" in text for text in found)


def found_as(site, kafka, user, *wanted, more=()):
    """What check finds, once all of these are among it (a broker hears of rules some moments after the
    controller has them): what was found -> its level."""
    sets = [arg for key, value in kafka.options(user).items()
            for arg in ("--set", f"kafka.{key}={value}")]
    last = [{}]

    def there():
        _, text = site.lockstep("check", "--kafka", "--json", "--log-level", "error", *sets, *more)
        last[0] = {line["found"]: line["level"] for line in document(text)["lines"]}
        return all(any(t.startswith(w) for t in last[0]) for w in wanted)
    try:
        wait_until(there, 60, "what check says")
    except BedError:
        raise AssertionError(f"wanted {wanted}, got {last[0]}") from None
    return last[0]


def test_rights_are_told_by_the_rules_or_by_trying(guarded, tmp_path):
    bed = types.SimpleNamespace(kafka=guarded, mariadb=None, target=None, folder=tmp_path)
    site = Daemons(bed, data=tmp_path, prefix="p", folder=tmp_path / "lockstep",
                   sets={"lockstep.partitions": 4})
    admin = AdminClient({"bootstrap.servers": guarded.bootstrap})
    for done in admin.create_topics([NewTopic("p.cs3.share", 1, 1), NewTopic("p.status", 1, 1)]
                                    ).values():
        done.result(120)
    # nobody has granted anything yet: not even that the topics may be seen
    found = found_as(site, guarded, "blind", "rights to write were not told: ")
    refused = [t for t, level in found.items() if level == "fail"]
    assert "p.cs3.share: its partitions: Broker: Topic authorization failed" in refused, found
    # he may see all and read one of the two
    guarded.grant("blind", "TOPIC", "p.", "DESCRIBE")
    guarded.grant("blind", "TOPIC", "p.status", "READ", prefixed=False)
    found = found_as(site, guarded, "blind", "1 of 2 topics may not be read, p.cs3.share first",
                     "how 2 of 2 topics are kept was not told",
                     "group p-transform may not be looked at", "group p-apply may not be looked at")
    assert found["1 of 2 topics may not be read, p.cs3.share first"] == "warn"
    assert "fail" not in found.values(), found
    # one principal for all programs
    for operation in ("READ", "WRITE", "DESCRIBE_CONFIGS"):
        guarded.grant("one", "TOPIC", "p.", operation)
    guarded.grant("one", "GROUP", "p-", "READ")
    guarded.grant("one", "BROKER", "kafka-cluster", "DESCRIBE", prefixed=False)
    own = {"capture": "p-capture", "transform": "p-transform-7", "apply": "p-apply"}
    instance = "--set", "lockstep.instance=7"
    found = found_as(site, guarded, "one", "all 2 topics may be read",
                     "User:one may do with topics and groups what the command does", *(
                         f"User:one lacks for {program} nothing but Write on transactional id {name}"
                         for program, name in own.items()), more=instance)
    assert {found[t] for t in found if " nothing but " in t} == {"warn"}
    assert [level for text, level in found.items() if text.startswith("User:one may not make ")] == ["note"]
    # by name and by its beginning
    guarded.grant("one", "TRANSACTIONAL_ID", "p-capture", "WRITE", prefixed=False)
    guarded.grant("one", "TRANSACTIONAL_ID", "p-transform-", "ALL")
    guarded.grant("one", "TRANSACTIONAL_ID", "p-apply", "DESCRIBE")
    guarded.grant("one", "TOPIC", "p.", "CREATE")
    found = found_as(site, guarded, "one", "User:one lacks for apply nothing but ", *(
        f"User:one may do with topics, groups and its transactional id what {program} does"
        for program in ("capture", "transform")), more=instance)
    assert not any(text.startswith("User:one may not make ") for text in found), found
    guarded.grant("one", "TRANSACTIONAL_ID", "p-apply", "WRITE", prefixed=False)
    found = found_as(site, guarded, "one",
                     "User:one may do with topics, groups and its transactional id what apply does")
    sets = [arg for key, value in guarded.options("one").items() for arg in ("--set", f"kafka.{key}={value}")]
    # a kind of rule that librdkafka does not know is nothing to complain of
    assert "resource type" not in site.lockstep("check", "--kafka", *sets)[1]
    assert any(t.startswith("1 brokers; their version was not told: ") for t in found)
    # one for the command alone
    guarded.grant("asks", "TOPIC", "p.", "READ")
    guarded.grant("asks", "GROUP", "p-", "DESCRIBE")
    guarded.grant("asks", "BROKER", "kafka-cluster", "DESCRIBE", prefixed=False)
    found = found_as(site, guarded, "asks",
                     "User:asks may do with topics and groups what the command does",
                     "all 2 topics may be read",
                     "User:asks lacks for capture: Write on topic p.oc10.oc_filecache (and ")
    assert not any(t.startswith("group ") for t in found), found
    assert {found[t] for t in found if t.startswith("User:asks lacks for ")} == {"note"}
