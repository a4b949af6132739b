"""The main job: what users do at ownCloud 10 is at the target, and stays so whatever is killed."""

import json
import os
import random
import re
import signal

import pytest
from bed import DATABASE, topics
from bed.browser import Tree, dom_of
from cs3.storage.provider.v1beta1 import provider_api_pb2

EVIL = "<img src=x onerror=document.title=1>&\"'.txt"
# Over the sharing API a kill can leave a second link, see apply/README.md.
EXACT = {"apply.shares": "exact", "capture.link_secrets": "true"}


def test_a_site_and_a_working_day_converge(world):
    world.work.populate(5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.work.run(actions=250)
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []
    status, text = world.daemons.lockstep("verify", "--deep", "--sample", "60%", "--seed", "7")
    assert status == 0, text
    assert re.search(r"^read on both sides: [1-9]\d* files, [1-9]\d* bytes$", text, re.M), text
    assert "a sample: 60% of the files' contents, seed 7" in text
    assert 0.5 < estimated_volume(world) / held(world) < 2


def estimated_volume(world):
    """What check says that Kafka will hold, in bytes."""
    tables = ", ".join(row[0] for row in world.bed.mariadb.sql("SHOW TABLES", DATABASE))
    world.bed.mariadb.sql(f"ANALYZE NO_WRITE_TO_BINLOG TABLE {tables}", DATABASE)
    _, text = world.daemons.lockstep("check", "--source", "--json")
    words, = (line["found"] for line in json.loads(text)["lines"]
              if line["found"].startswith("Kafka will hold about "))
    number, unit = words.split()[4:6]
    return float(number) * {"bytes": 1, "KB": 1e3, "MB": 1e6}[unit]


def held(world):
    """The last records of each key of the data's topics, in bytes."""
    total = 0
    for name in topics.names(world.bed.kafka.bootstrap):
        if re.match(re.escape(world.prefix) + r"\.(oc10|cs3|ledger)\b", name):
            last = {r["key"]: r for r in topics.read(world.bed.kafka.bootstrap, name)
                    if r["value"] and not r["key"].startswith("!")}
            total += sum(len(key) + len(r["value"]) for key, r in last.items())
    return total


def test_verify_names_a_difference_that_somebody_made_at_the_target(world):
    world.work.populate(3, actions=15)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.assert_equal()
    world.daemons.stop("apply")
    alice = world.site.files("alice")
    world.site.upload(alice, "unseen by lockstep.txt", b"x")
    world.site.upload(alice, EVIL, b"y")
    page = world.folder / "verify.html"
    status, text = world.daemons.lockstep("verify", "--wait", "5", "--user", "alice", "--html", page)
    assert status == 3, text
    assert "DIFFERENT  alice: missing: files/unseen by lockstep.txt" in text
    assert "not told apart from what the stream still carries: apply is " in text
    # the page as a browser draws it: by user, with text where somebody named a file like an element
    tree = Tree(dom_of(page.as_uri(), world.folder / "browser"))
    assert tree.text["verdict"] == "2 differences"
    assert tree.text["users"].count("alice") == 1 and tree.links and tree.links[0].startswith("#u")
    assert tree.text[tree.links[0][1:]] == "alice"
    dom = "".join(tree.all)
    assert "files/unseen by lockstep.txt" in dom and f"files/{EVIL}" in dom
    assert "img" not in tree.tags and "script" not in tree.tags and tree.tags.count("table") == 3
    # apply carries it after all: what was seen as a difference at first is none
    world.daemons.start("apply")
    status, text = world.daemons.lockstep("verify", "--json")
    assert status == 0, text
    assert json.loads(text)["not_told_apart"] is None, text


def test_verify_compares_the_hashes_of_link_passwords_and_shows_none(new_world):
    world = new_world(sets=EXACT)
    world.work.populate(2, actions=5)
    shares = world.work.shares
    link = shares.link(world.site.upload(world.site.files("alice"), "open me.txt", b"x"), password=True)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    status, text = world.verify()
    assert status == 0 and "link passwords" not in text, text
    world.daemons.stop("apply")
    shares.change_link_password(link, True)  # another one
    status, text = world.daemons.lockstep("verify", "--wait", "0")
    assert status == 3, text
    assert "alice: link: different: files/open me.txt" in text and "another password" in text
    assert "$2y$" not in text
    # who may not read the manager's file does not say that they are equal
    status, text = world.daemons.lockstep("verify", "--wait", "0", "--set", "target.system_user_id=")
    assert "another password" not in text and "link passwords ([target] system_user_id" in text, text
    world.daemons.start("apply")
    world.drained()
    world.assert_equal()


def test_check_tries_the_credentials_that_are_needed_later(world):
    def said(*sets):
        text = world.daemons.lockstep("check", "--json", *sets)[1]
        lines = json.loads(text)["lines"]
        return {who: line["level"] for who in ("service account", "system user")
                for line in lines if line["found"].startswith(who)}

    assert said() == {"service account": "pass", "system user": "pass"}
    assert said("--set", "target.system_user_key=wrong",
                "--set", "target.service_account_secret=wrong") == {
        "service account": "fail", "system user": "fail"}


def levels(world, *args):
    """What check finds of the target and the data directory -> its level."""
    text = world.daemons.lockstep("check", "--target", "--data", "--json", *args)[1]
    return {line["found"]: line["level"] for line in json.loads(text)["lines"]}


@pytest.mark.skipif(os.environ.get("LOCKSTEP_TEST_TARGET", "sim") != "sim",
                    reason="its limits and its room are the machine's")
def test_check_compares_what_users_have_with_the_room_there_is(world):
    world.work.populate(4, actions=15)

    def sql(text):
        return world.bed.mariadb.sql(text, DATABASE)

    def said(beginning, **settings):
        world.target.ask("/settings", "POST", settings)
        found = levels(world)
        text, = (t for t in found if t.startswith(beginning))
        return found[text], text
    sql("UPDATE oc_filecache SET size = 3000000 WHERE path = 'files'; "
        "UPDATE oc_accounts SET quota = 'none'")
    assert said("what ")[0] == "pass"
    assert said("oCIS simulator 7.0.0")[0] == "pass"
    sql("UPDATE oc_accounts SET quota = '1 MB' WHERE user_id = 'alice'")
    assert said("alice has ") == ("warn", "alice has 3.0 MB, his quota is 1.0 MB")
    sql("UPDATE oc_accounts SET quota = '' WHERE user_id = 'alice'; "
        "INSERT INTO oc_preferences VALUES('alice', 'files', 'quota', '2 MB')")
    assert said("alice has ")[1] == "alice has 3.0 MB, his quota is 2.1 MB"
    assert said("alice has ", max_quota=2000000) == (
        "fail", "alice has 3.0 MB, oCIS allows 2.0 MB to a space")
    sql("UPDATE oc_accounts SET quota = '1 GB' WHERE user_id = 'alice'")
    assert said("1 users have a larger quota than oCIS allows", max_quota=4000000)[0] == "warn"
    # room is told by the driver, of a space that the one who asks has
    assert said("oCIS does not tell how much room", room=1)[0] == "note"
    _, metadata = world.cs3.session("admin")
    world.cs3.api.CreateHome(provider_api_pb2.CreateHomeRequest(), metadata=metadata)
    assert said("the target's storage has room for ", room=1000)[0] == "fail"
    assert said("the target's storage has room for ", room=1 << 50)[0] == "pass"
    assert said("oCIS does not tell how much room", room=(1 << 63) - 1)[0] == "note"


def test_check_looks_for_files_of_the_rows(world):
    world.work.populate(3, actions=20)
    found = levels(world)
    sampled, = (t for t in found if " files sampled: all there, with the size" in t)
    assert found[sampled] == "pass"
    for home in world.data.iterdir():
        if (home / "files").is_dir():
            (home / "files").rename(home / "elsewhere")
    found = levels(world)
    sampled, = (t for t in found if " files sampled: " in t)
    count = int(sampled.split()[0])
    assert f"{count} are missing, 0 are not as their rows say" in sampled, sampled
    assert found[sampled] == "fail"


@pytest.mark.parametrize("stage", ["capture", "transform", "apply"])
def test_sigkill_at_ten_random_moments_changes_nothing(new_world, stage):
    world = new_world(sets=EXACT)
    rng = random.Random(stage)
    world.work.populate(4, actions=30)
    world.daemons.start()
    world.daemons.wait_snapshot()
    for _ in range(10):
        # at any moment of its life: while it starts, at work, or between two transactions
        world.work.run(seconds=rng.uniform(0.05, 2.0), rate=25)
        world.daemons.kill(stage)
        world.work.run(actions=rng.randrange(0, 6))
        world.daemons.spawn(stage)
    world.daemons.wait_ready(stage)
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []


def test_all_three_killed_at_once_changes_nothing(new_world):
    world = new_world(sets=EXACT)
    rng = random.Random(3)
    world.work.populate(4, actions=30)
    world.daemons.start()
    world.daemons.wait_snapshot()
    for _ in range(3):
        world.work.run(seconds=rng.uniform(0.5, 2.0), rate=25)
        for stage in ("capture", "transform", "apply"):
            world.daemons.kill(stage)
        world.daemons.start()
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []


def test_a_kill_in_the_first_snapshot_is_made_good(new_world):
    world = new_world(sets=EXACT)
    world.work.populate(4, actions=80)
    for stage in ("capture", "transform", "apply"):
        world.daemons.spawn(stage)
    world.daemons.wait_ready("capture")
    for stage in ("capture", "transform", "apply"):
        world.daemons.kill(stage)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained(90)
    world.assert_equal()
    world.assert_balanced()


def test_a_clean_stop_ends_with_status_0_and_goes_on_where_it_was(world):
    world.work.populate(3, actions=20)
    world.daemons.start()
    world.daemons.wait_snapshot()
    assert set(world.daemons.stop().values()) == {0}
    world.work.run(actions=30)
    world.daemons.start()
    world.drained()
    world.assert_equal()
    world.assert_balanced()


def test_a_stopped_target_makes_apply_wait_not_lose(world):
    world.work.populate(3, actions=20)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.target.process.signal(signal.SIGSTOP)
    world.work.run(actions=30)
    world.target.process.signal(signal.SIGCONT)
    world.drained(90)
    world.assert_equal()
    assert world.dead_letters() == []
