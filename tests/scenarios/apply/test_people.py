"""Quotas, favourites, properties, local accounts: from the source's rows to the target and the counters."""

from bed.process import wait_until


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

    def left():
        now = world.daemons.status("apply")["counters"]
        return {k[5:]: n - before.get(k, 0) for k, n in now.items()
                if k.startswith("left:") and n != before.get(k, 0) and k != "left:version"}

    wanted = {"credential": 1, "favorite": 3, "tag": 2, "property": 1}
    wait_until(lambda: left() == wanted, 60, "what is left", 0.3)
    wait_until(lambda: world.cs3.quota("alice") == 2 << 30, 60, "the quota", 0.3)
    world.drained()
    world.assert_equal()
    world.assert_balanced()
    assert world.dead_letters() == []
    for topic in ("oc10.oc_preferences", "cs3.person"):
        assert all(b"xx-secret" not in (r["value"] or b"") for r in world.read(topic))
    assert all(b"$2y$10$hash" not in (r["value"] or b"") for r in world.read("cs3.person"))
