"""A user who is disabled on both sides is compared all the same: the service account looks."""

import re

import pytest


@pytest.fixture
def disabled(world):
    """bob has files, trash, a share and a link, and is disabled on both sides."""
    for uid in ("alice", "bob"):
        world.site.create_user(uid)
        world.site.login(uid)
    bob = world.site.files("bob")
    docs = world.site.mkdir(bob, "docs")
    world.site.upload(docs, "report.txt", b"as it was when he left")
    world.site.delete(world.site.upload(bob, "old.txt", b"thrown away"))
    world.work.shares.to_user(docs, "alice")
    world.work.shares.link(docs, name="press")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    world.site.sql("UPDATE oc_accounts SET state = 2 WHERE user_id = 'bob'")
    world.drained()
    return world


def test_a_disabled_user_with_files_is_equal(disabled):
    status, text = disabled.verify()
    assert status == 0, text
    #                 folders files trash shares links different unseen
    assert re.search(r"^bob +1 +2 +1 +0 +1 +0 +0$", text, re.M), text
    assert "not compared: 1 users who cannot sign in, and what they received" in text
    assert "not compared: 1 links of users who cannot sign in" in text


def test_what_is_missing_in_his_space_is_a_difference(disabled):
    disabled.daemons.stop("apply")
    disabled.site.upload(disabled.site.files("bob"), "unseen.txt", b"x")
    status, text = disabled.verify()
    assert status == 3, text
    assert "DIFFERENT  bob: missing: files/unseen.txt" in text
    assert "\n1 differences" in text


def test_without_a_service_account_he_is_not_compared_and_the_options_are_named(new_world):
    world = new_world(sets={"target.service_account_id": None,
                            "target.service_account_secret_file": None})
    world.site.create_user("bob")
    world.site.login("bob")
    world.site.sql("UPDATE oc_accounts SET state = 2 WHERE user_id = 'bob'")
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    status, text = world.verify()
    assert status == 11, text
    assert "UNSEEN     bob: user cannot be looked at" in text
    assert "set [target] service_account_id and service_account_secret" in text
