"""Quotas, favourites, properties, local accounts, users of a directory: from the source's rows to the target and
the counters."""

import pytest
from bed.process import BedError, wait_until
from bed.target import Simulator


def test_quotas_arrive_and_what_no_writer_carries_is_counted_by_name(new_world):
    world = new_world()
    world.work.populate(1, actions=5)
    site = world.site
    node = site.upload(site.files("alice"), "a.txt", b"hello")
    for app, key, value in (("files", "quota", "1 GB"), ("core", "lang", "xx-secret")):
        site.sql("INSERT INTO oc_preferences VALUES ('alice', %s, %s, %s)", app, key, value)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    assert world.cs3.quota("alice") == 1 << 30
    before = world.daemons.status("apply")["counters"]
    favorites, holidays = 7007, 7008
    site.sql("UPDATE oc_accounts SET quota = '2 GB' WHERE user_id = 'alice'")
    site.sql("INSERT INTO oc_users (uid, displayname, password) VALUES (%s, %s, %s)", "R&D/50%",
             "x", "1|$2y$10$hash")
    for category, name in ((favorites, "_$!<Favorite>!$_"), (holidays, "holidays")):
        site.sql("INSERT INTO oc_vcategory (id, uid, type, category)"
                 " VALUES (%s, 'alice', 'files', %s)", category, name)
        site.sql("INSERT INTO oc_vcategory_to_object (objid, categoryid, type)"
                 " VALUES (%s, %s, 'files')", node.id, category)
    site.sql("INSERT INTO oc_properties (id, fileid, propertyname, propertyvalue)"
             " VALUES (3003, %s, '{urn:x}a', 'b')", node.id)
    site.sql("DELETE FROM oc_vcategory_to_object WHERE categoryid = %s", favorites)
    site.sql("INSERT INTO oc_systemtag (id, name) VALUES (9009, 'Tag A')")
    for kind, what in (("files", node.id), ("calendars", "x")):
        site.sql("INSERT INTO oc_systemtag_object_mapping (objecttype, objectid, systemtagid)"
                 " VALUES (%s, %s, 9009)", kind, what)
    site.sql("DELETE FROM oc_systemtag_object_mapping WHERE systemtagid = 9009")

    def left():
        now = world.daemons.status("apply")["counters"]
        return {k[5:]: n - before.get(k, 0) for k, n in now.items()
                if k.startswith("left:") and n != before.get(k, 0) and k != "left:version"}

    wanted = {"credential": 1, "favorite": 3, "tag": 5, "property": 1}
    wait_until(lambda: left() == wanted, 60, "what is left", 0.3)
    wait_until(lambda: world.cs3.quota("alice") == 2 << 30, 60, "the quota", 0.3)
    world.drained()
    assert "not compared: 1 quotas" not in world.assert_equal()
    if isinstance(world.target, Simulator):
        world.target.ask("/quota", "POST", {"user": "alice", "bytes": 5})
        status, text = world.verify()
        assert status == 3, text
        assert "DIFFERENT  alice: quota\n           source: 2147483648 bytes\n           target: 5 bytes\n" in text
        world.target.ask("/quota", "POST", {"user": "alice", "bytes": 2 << 30})
    world.assert_balanced()
    assert world.dead_letters() == []
    for topic in ("oc10.oc_preferences", "cs3.person"):
        assert all(b"xx-secret" not in (r["value"] or b"") for r in world.read(topic))
    assert all(b"$2y$10$hash" not in (r["value"] or b"") for r in world.read("cs3.person"))


def received(world, uid):
    """Nothing while apply writes the file: a target that meets that answers INTERNAL."""
    try:
        return world.cs3.received(uid)
    except BedError:
        return []


def test_users_of_ldap_get_what_is_theirs_however_the_target_calls_them(new_world):
    """ownCloud calls them by the directory's UUID or by a name that the target has for somebody else."""
    ids = {n: "74f2ec24-7b02-1041-9d5%x-4d11b56096fc" % i for i, n in enumerate(("ann", "bob", "eve"))}
    ann, bob, eve = ids["ann"].upper(), "bsmith", "eve"
    world = new_world(sets={"people.match_by": "ldap-uuid", "people.mode": "match",
                            "apply.retry_max_ms": 1000, "apply.shares": "exact"})
    if world.target.kind != "simulator":
        pytest.skip("the oCIS of the tests has no directory of its own")
    directory = [{"name": "ann", "id": ids["ann"]}, {"name": "bob", "id": ids["bob"]},
                 {"name": "bsmith", "id": "00000000-7b02-1041-9d50-4d11b56096fc"},
                 {"name": "carol", "id": "11111111-7b02-1041-9d50-4d11b56096fc", "role": True}]
    world.target.ask("/directory", "POST", {"users": directory})
    world.cs3.names = {ann: "userid:" + ids["ann"], bob: "userid:" + ids["bob"],
                       eve: "userid:" + ids["eve"]}
    site = world.site
    for uid, name in ((ann, "ann"), (bob, "bob"), (eve, "eve"), ("carol", None)):
        site.create_user(uid)
        if name:
            site.sql("UPDATE oc_accounts SET backend = %s WHERE user_id = %s",
                     "OCA\\User_LDAP\\User_Proxy", uid)
            site.sql("INSERT INTO oc_ldap_user_mapping VALUES (%s, %s, %s)", f"uid={name},dc=x", uid,
                     ids[name].upper())
        site.login(uid)
    node = site.upload(site.files(ann), "report.txt", b"one")
    site.overwrite(node, b"two, the second")
    site.delete(site.upload(site.files(ann), "old.txt", b"gone"))
    for uid in (bob, eve, "carol"):
        site.upload(site.files(uid), "mine.txt", uid.encode())
        world.work.shares.to_user(node, uid, 3)
    world.work.shares.link(node, 1, False, None, "For you")
    # a group: members' names are the directory's matter; here it is called as ownCloud calls another one
    gid, named = "5f1c2a66-7b02-1041-9d50-4d11b56096fc", "R&D/50%"
    world.target.ask("/directory", "POST", {"groups": [
        {"name": "research", "id": gid, "members": [ids["bob"]]},
        {"name": named, "id": "22222222-7b02-1041-9d50-4d11b56096fc", "members": [ids["ann"]]}]})
    site.sql("INSERT INTO oc_ldap_group_mapping VALUES ('cn=research,dc=x', %s, %s)", named, gid.upper())
    plans = site.upload(site.files(ann), "plans.txt", b"plans")
    world.work.shares.to_group(plans, named, 17)
    world.daemons.start()
    world.daemons.wait_snapshot()
    # eve is not there yet: what is hers waits, and nothing else does
    wait_until(lambda: "grantee-missing" in (world.daemons.status("apply").get("parked") or {}),
               60, "eve's cause", 0.3)
    wait_until(lambda: "mine.txt" in world.cs3.walk(bob), 60, "bob's file", 0.3)
    wait_until(lambda: received(world, bob), 60, "what bob received", 0.3)
    _, text = world.daemons.lockstep("check", "--target")
    text = " ".join(text.split())  # lines are folded
    assert "of 3 users of ownCloud's LDAP oCIS knows 0 by name, 2 by their directory_uuid; not: eve" in text, text
    assert ("of 1 groups of ownCloud's LDAP that something is shared with oCIS knows 0 by name, 1 by their"
            " directory_uuid") in text, text
    status, text = world.verify()
    assert status != 0 and "user missing or disabled" in text and eve in text
    world.target.ask("/directory", "POST", {"users": [{"name": "evelyn", "id": ids["eve"]}]})
    world.drained()
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []
    assert [len(world.cs3.received(u)) for u in (bob, eve, "carol")] == [2, 1, 1]
    through = [r.share.grantee.group_id.opaque_id for r in world.cs3.received(bob)]
    assert sorted(through) == ["", gid]
    assert len(world.cs3.versions(ann, world.cs3.walk(ann)["report.txt"])) == 1
    assert [i.ref.path.rsplit("/", 1)[-1] for i in world.cs3.trash(ann)] == ["old.txt"]
    world.cs3.names["another"] = "username:bsmith"
    assert world.cs3.root("another") is None  # nobody has acted for the one of that name
    # a second start tells it all again
    world.daemons.stop("apply")
    world.daemons.start("apply")
    site.upload(site.files(bob), "later.txt", b"later")
    # the mapping goes: for ownCloud nobody is in that group any more
    site.sql("DELETE FROM oc_ldap_group_mapping")
    wait_until(lambda: len(received(world, bob)) == 1, 60, "what is taken away", 0.3)
    world.drained()
    world.assert_equal()
    refused = [c for c in world.target.ask("/calls")["calls"] if "/users" in c or "/groups" in c]
    assert not [c for c in refused if "405" in c], refused
    # whom ownCloud has not mapped is counted by check, and not among those whom oCIS should know; nor is
    # an answer that says nothing of somebody one that he is there
    world.daemons.stop("apply")
    site.create_user("unmapped")
    site.sql("UPDATE oc_accounts SET backend = %s WHERE user_id = 'unmapped'", "OCA\\User_LDAP\\User_Proxy")
    world.target.ask("/faults", "POST", {"call": "graph.GET /users/{id}", "effect": "http", "http": 500,
                                         "nth": 6, "times": 1})
    _, text = world.daemons.lockstep("check", "--target")
    text = " ".join(text.split())
    assert "1 users of ownCloud's LDAP have no id in oc_ldap_user_mapping: unmapped" in text, text
    assert "1 of 3 users of ownCloud's LDAP could not be looked up in oCIS, eve first: " in text, text
    assert "of 2 users of ownCloud's LDAP oCIS knows 0 by name, 2 by their directory_uuid" in text, text
