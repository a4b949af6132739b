"""Bad input: a clear message, a documented exit status or a dead letter, and nothing lost."""

import os
import subprocess

import pytest

from bed.daemons import BIN


def run(daemons, stage, *args, seconds=30):
    """Starts a daemon that is to end by itself; its exit status and its log."""
    process = daemons.spawn(stage, *args)
    status = process.wait(seconds)
    return status, daemons.log(stage).read_text(errors="replace")


def started(world):
    world.work.populate(2, actions=10)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    return world


def assert_rest_goes_on(world):
    """Whatever was bad: what comes after it arrives."""
    world.work.run(actions=10)
    world.drained()
    world.assert_balanced()
    for stage, process in world.daemons.running.items():
        assert process.alive(), f"{stage} has ended"


def test_an_unknown_option_ends_with_2_and_names_file_and_line(world):
    world.daemons.config.write_text(world.daemons.config.read_text() + "\n[apply]\nwokers = 3\n")
    lines = world.daemons.config.read_text().splitlines()
    for stage in ("capture", "transform", "apply"):
        status, log = run(world.daemons, stage)
        assert status == 2
        assert "wokers" in log and f"lockstep.conf:{lines.index('wokers = 3') + 1}" in log


def test_an_unknown_set_on_the_command_line_ends_with_2(world):
    status, log = run(world.daemons, "capture", "--set", "source.hots=x")
    assert status == 2 and "hots" in log


def test_a_wrong_password_ends_capture_with_4(new_world):
    world = new_world(sets={"source.password_file": None, "source.password": "wrong"})
    status, log = run(world.daemons, "capture")
    assert status == 4
    assert "lockstep" in log and "wrong" not in log


def test_an_unreachable_server_is_waited_for(new_world):
    world = new_world(sets={"source.port": 1})
    process = world.daemons.spawn("capture")

    def why():
        code, text = world.daemons.get("capture", "/readyz")
        return code == 503 and "starting" not in text and text
    from bed import wait_until
    wait_until(why, 60, "a reason in /readyz")
    assert process.alive()
    assert world.daemons.stop("capture") == {"capture": 0}


def test_statement_binlogs_end_capture_with_4(world):
    world.bed.mariadb.sql("SET GLOBAL binlog_format = 'STATEMENT'")
    try:
        status, log = run(world.daemons, "capture")
    finally:
        world.bed.mariadb.sql("SET GLOBAL binlog_format = 'ROW'")
    assert status == 4
    assert "binlog_format" in log


def test_a_missing_data_directory_ends_apply_with_9(new_world):
    world = new_world(sets={"data.root": "/nonexistent/data"})
    status, log = run(world.daemons, "apply")
    assert status == 9
    assert "/nonexistent/data" in log


def test_malformed_avro_of_a_row_is_a_dead_letter_and_the_rest_goes_on(world):
    started(world)
    head = world.read("oc10.oc_filecache")[0]["value"][:10]  # its schema's fingerprint
    world.send("oc10.oc_filecache", "999999", head + b"\xff\xff no avro")
    letter = world.wait_dead_letter("malformed-avro")
    assert letter["headers"]["stage"] == "transform"
    assert letter["value"] == head + b"\xff\xff no avro"
    assert_rest_goes_on(world)


def test_a_row_of_an_unknown_schema_is_a_dead_letter(world):
    started(world)
    world.send("oc10.oc_filecache", "999999", b"\xc3\x01 this is no avro")
    assert world.wait_dead_letter("unknown-schema")["headers"]["stage"] == "transform"
    assert_rest_goes_on(world)


def test_malformed_avro_of_a_resource_is_a_dead_letter_and_the_rest_goes_on(world):
    started(world)
    world.send("cs3.resource", "999999", b"")
    letter = world.wait_dead_letter("malformed-avro")
    assert letter["headers"]["stage"] == "apply"
    assert_rest_goes_on(world)
    world.assert_equal()


def test_an_unknown_share_type_is_a_dead_letter(world):
    started(world)
    file = world.site.upload(world.site.files("alice"), "shared.txt", b"x")
    world.site.sql("INSERT INTO oc_share (share_type, share_with, uid_owner, uid_initiator,"
                   " item_type, item_source, file_source, file_target, permissions, stime)"
                   " VALUES (99, 'bob', 'alice', 'alice', 'file', %s, %s, '/shared.txt', 1, 1)",
                   str(file.id), file.id)
    letter = world.wait_dead_letter("share-type")
    assert letter["headers"]["stage"] == "transform"
    assert_rest_goes_on(world)


def test_a_symlink_out_of_the_home_is_never_followed(world, tmp_path):
    started(world)
    secret = tmp_path / "secret.txt"
    secret.write_bytes(b"secret!")
    folder = world.site.files("alice")
    place = world.site.disk(folder) / "innocent.txt"
    place.symlink_to(secret)
    c = world.site.cache
    c.insert(folder.storage, folder, "innocent.txt", "text/plain", 7,
             int(os.stat(secret).st_mtime))
    world.wait_dead_letter("outside-home")
    assert_rest_goes_on(world)
    assert "innocent.txt" not in world.cs3.walk("alice")


def test_dot_dot_in_a_name_leads_nowhere(world):
    started(world)
    folder = world.site.files("alice")
    up = world.site.cache.insert(folder.storage, folder, "..")
    (world.data / "bob" / "files" / "private.txt").write_bytes(b"private")
    node = world.site.cache.insert(folder.storage, up, "../../bob/files/private.txt", "text/plain",
                                   7, int((world.data / "bob/files/private.txt").stat().st_mtime))
    world.wait_dead_letter("name")
    assert {str(up.id), str(node.id)} <= {d["key"] for d in world.dead_letters()}
    for path, info in world.cs3.walk("alice").items():
        assert "private" not in path and ".." not in path.split("/")


@pytest.mark.parametrize("program", ["lockstep-capture", "lockstep-transform", "lockstep-apply",
                                     "lockstep"])
def test_help_and_version_need_nothing(program):
    for option in ("--help", "--version"):
        done = subprocess.run([BIN / program, option], capture_output=True, timeout=120)
        assert done.returncode == 0 and done.stdout
