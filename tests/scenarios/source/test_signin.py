"""Signing in at the source: TLS with its checks, every way to prove a password, rights, server ids."""

import socket
import threading

import pytest
from bed import DATABASE, Databases, fetch, wait_until
from bed.certs import Certificates
from bed.daemons import last_error

USAGE, SOURCE = 2, 4
KINDS = ("mariadb", "mysql")


@pytest.fixture(scope="module")
def certs(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certs"))


@pytest.fixture(scope="module")
def servers(bed, certs):
    """With TLS, and with users who sign in in every way there is."""
    made = Databases(bed.folder / "signin")
    plugins = fetch.mariadb_plugins()
    mariadb = made("mariadb-10.11", *certs.server_options(), f"plugin_dir={plugins}",
                   "plugin_load_add=auth_ed25519")
    mysql = made("mysql-8.0", *certs.server_options())
    for server in (mariadb, mysql):
        create(server, "x509", "IDENTIFIED BY 'x509' REQUIRE X509")
        create(server, "tls", "IDENTIFIED BY 'tls' REQUIRE SSL")
    create(mariadb, "ed25519", "IDENTIFIED VIA ed25519 USING PASSWORD('ed25519')")
    create(mysql, "sha2", "IDENTIFIED WITH caching_sha2_password BY 'sha2'")
    create(mysql, "native", "IDENTIFIED WITH mysql_native_password BY 'native'")
    yield {"mariadb": mariadb, "mysql": mysql}
    made.stop()


def create(server, user, how, rights=None):
    watch = "BINLOG MONITOR" if server.kind == "mariadb" else "REPLICATION CLIENT"
    if rights is None:
        rights = [f"REPLICATION SLAVE, {watch} ON *.*", f"SELECT ON {DATABASE}.*"]
    server.sql(f"CREATE OR REPLACE USER {user}@'%' {how};" if server.kind == "mariadb" else
               f"DROP USER IF EXISTS {user}@'%'; CREATE USER {user}@'%' {how};")
    for right in rights:
        server.sql(f"GRANT {right} TO {user}@'%'")


def signs_in_as(user, **more):
    return {"source.user": user, "source.password_file": None, "source.password": user,
            "capture.snapshot": "never",
            **{f"source.{key}": value for key, value in more.items()}}


def follows(capture):
    """A row of now arrives."""
    capture.start(snapshot=False)
    capture.sql("INSERT INTO oc_groups VALUES('staff')")
    wait_until(lambda: "staff" in capture.state("groups"), 60, "the row")
    assert capture.stop() == 0


def refusal(capture, status=SOURCE):
    ended, lines = capture.run()
    errors = [line for line in lines if line.get("level") == "error"]
    assert ended == status, lines[-3:]
    return errors[-1]["cause"], errors[-1]["message"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_the_right_name_is_followed_over_tls_and_sees_our_certificate(
        kind, servers, certs, new_capture):
    follows(new_capture(signs_in_as(
        "x509", tls="verify-identity", tls_ca=certs.ca, tls_cert=certs.client,
        tls_key=certs.client.with_suffix(".key")), servers[kind]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_of_another_authority_ends_with_4(kind, servers, certs, new_capture):
    for mode in ("verify-ca", "verify-identity"):
        cause, message = refusal(new_capture(signs_in_as("tls", tls=mode, tls_ca=certs.other_ca),
                                             servers[kind]))
        assert cause == "source-tls" and "certificate" in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_for_another_host_ends_with_4_unless_only_the_authority_counts(
        kind, servers, certs, new_capture):
    sets = signs_in_as("tls", tls_ca=certs.ca, host="localhost")
    cause, message = refusal(new_capture({**sets, "source.tls": "verify-identity"}, servers[kind]))
    assert cause == "source-tls" and "for another host" in message
    if kind == "mariadb":
        follows(new_capture({**sets, "source.tls": "verify-ca"}, servers[kind]))


def test_a_certificate_that_is_not_valid_yet_is_waited_for(servers, certs, new_capture):
    """A clock that is behind, as of a machine that has just begun."""
    capture = new_capture(signs_in_as("tls", tls="verify-ca", tls_ca=certs.of_tomorrow()),
                          servers["mariadb"])
    process = capture.site.spawn("capture")
    wait_until(lambda: not process.alive() or
               "not yet valid" in capture.site.get("capture", "/readyz")[1], 60, "why")
    assert process.alive()
    assert capture.stop() == 0


def test_without_a_file_of_authorities_those_of_the_system_count(servers, new_capture):
    cause, message = refusal(new_capture(signs_in_as("tls", tls="verify-identity"),
                                         servers["mariadb"]))
    assert cause == "source-tls" and "certificate" in message


def test_a_server_without_tls_ends_with_4_where_tls_is_demanded(certs, new_capture):
    for sets in ({"tls": "required"}, {"tls": "verify-ca", "tls_ca": certs.ca},
                 {"tls": "verify-identity", "tls_ca": certs.ca}):
        cause, message = refusal(new_capture(
            {f"source.{key}": value for key, value in sets.items()}))
        assert cause == "source-tls" and "TLS" in message


def test_tls_is_used_where_the_server_has_it_and_nothing_is_said(servers, new_capture):
    follows(new_capture(signs_in_as("tls"), servers["mariadb"]))


@pytest.mark.parametrize("tls", ("required", "disabled"))
def test_caching_sha2_password_with_tls_and_by_the_servers_rsa_key(tls, servers, new_capture):
    servers["mysql"].sql("FLUSH PRIVILEGES")  # forgets who proved it before: the long way again
    follows(new_capture(signs_in_as("sha2", tls=tls), servers["mysql"]))


def test_mysql_native_password(servers, new_capture):
    follows(new_capture(signs_in_as("native", tls="disabled"), servers["mysql"]))


def test_ed25519(servers, new_capture):
    follows(new_capture(signs_in_as("ed25519", tls="disabled"), servers["mariadb"]))


@pytest.mark.parametrize("kind,user", (("mariadb", "ed25519"), ("mysql", "sha2")))
def test_a_wrong_password_ends_with_4_in_every_way_to_prove_it(kind, user, servers, new_capture):
    cause, message = refusal(new_capture({**signs_in_as(user), "source.password": "wrong"},
                                         servers[kind]))
    assert cause == "source-auth" and "Access denied" in message


def cut(server, user):
    """Ends his connections: capture signs in again."""
    for (n,) in server.sql(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"):
        server.sql(f"KILL {n}")


def refused_and_alive(capture, text):
    def refused():
        code, why = capture.site.get("capture", "/readyz")
        return code == 503 and text in why
    wait_until(refused, 60, f"{text} at /readyz")
    before = len(capture.site.log_lines("capture"))
    wait_until(lambda: any(text in line.get("message", "")
                           for line in capture.site.log_lines("capture")[before:]), 60, "one more try")
    assert capture.site.running["capture"].alive()


@pytest.mark.parametrize("kind", KINDS)
def test_a_password_that_is_another_for_a_while_is_waited_for_once_it_was_right(kind, servers,
                                                                               new_capture):
    server = servers[kind]
    create(server, "rotated", "IDENTIFIED BY 'rotated'")
    capture = new_capture(signs_in_as("rotated", tls="required"), server)
    capture.start(snapshot=False)
    server.sql("ALTER USER rotated@'%' IDENTIFIED BY 'another'")
    cut(server, "rotated")
    refused_and_alive(capture, "Access denied")
    server.sql("ALTER USER rotated@'%' IDENTIFIED BY 'rotated'")
    capture.sql("INSERT INTO oc_groups VALUES('staff')")
    wait_until(lambda: "staff" in capture.state("groups"), 60, "the row")
    assert capture.stop() == 0


def test_a_certificate_that_is_wrong_for_a_while_is_waited_for_once_it_was_right(servers, certs,
                                                                                new_capture, tmp_path):
    server, ca = servers["mariadb"], tmp_path / "ca.pem"
    ca.write_bytes(certs.ca.read_bytes())
    capture = new_capture(signs_in_as("tls", tls="verify-identity", tls_ca=ca), server)
    capture.start(snapshot=False)
    ca.write_bytes(certs.other_ca.read_bytes())
    cut(server, "tls")
    refused_and_alive(capture, "certificate")
    ca.write_bytes(certs.ca.read_bytes())
    capture.sql("INSERT INTO oc_groups VALUES('staff')")
    wait_until(lambda: "staff" in capture.state("groups"), 60, "the row")
    assert capture.stop() == 0


def packet(number, body):
    return len(body).to_bytes(3, "little") + bytes([number]) + body


def read_packet(connection):
    head = connection.recv(4, socket.MSG_WAITALL)
    return connection.recv(int.from_bytes(head[:3], "little"), socket.MSG_WAITALL) if head else b""


class Asker(threading.Thread):
    """Somebody at the server's port who wants to see the password itself."""

    GREETING = (b"\x0a8.0.31\0" + bytes(4) + b"12345678\0" + b"\xff\xf7\x2d\x02\0\xff\x81\x15"
                + bytes(10) + b"123456789012\0mysql_native_password\0")

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.heard = []

    def run(self):
        connection = self.listener.accept()[0]
        connection.sendall(packet(0, self.GREETING))
        self.heard.append(read_packet(connection))
        connection.sendall(packet(2, b"\xfemysql_clear_password\0"))
        self.heard.append(read_packet(connection))
        connection.close()


def test_a_server_that_asks_for_the_password_in_the_clear_does_not_get_it(new_capture):
    asker = Asker()
    asker.start()
    capture = new_capture({"source.port": asker.port, "source.tls": "disabled",
                           "source.password_file": None, "source.password": "open-sesame"})
    cause, _ = refusal(capture)
    asker.join(120)
    assert cause == "source-auth"
    assert asker.heard[0] and not any(b"open-sesame" in words for words in asker.heard)


def test_options_that_make_no_sense_end_with_2(certs, new_capture):
    for sets, word in (({"tls": "maybe"}, "verify-identity"),
                       ({"tls": "required", "tls_ca": certs.ca}, "tls_ca"),
                       ({"tls_cert": certs.client}, "tls_key"),
                       ({"tls": "verify-ca", "tls_ca": certs.folder / "none"}, "No such file"),
                       ({"host": "db1,,db2"}, "source.host")):
        _, message = refusal(new_capture({f"source.{k}": v for k, v in sets.items()}), USAGE)
        assert word in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_right_that_is_missing_is_named(kind, servers, new_capture):
    watch = "BINLOG MONITOR" if kind == "mariadb" else "REPLICATION CLIENT"
    select = f"SELECT ON {DATABASE}.*"
    for rights, missing in ((["REPLICATION SLAVE ON *.*", select], watch),
                            ([f"{watch} ON *.*", select], "REPLICATION SLAVE"),
                            ([f"{watch}, REPLICATION SLAVE ON *.*"], select)):
        capture = new_capture(signs_in_as("poor"), servers[kind])
        create(servers[kind], "poor", "IDENTIFIED BY 'poor'", rights)
        cause, message = refusal(capture)
        assert cause == "source-grants" and missing in message


def test_the_sources_own_server_id_ends_with_4(new_capture):
    cause, message = refusal(new_capture({"source.server_id": 1}))
    assert cause == "source-server-id" and "the source itself" in message


def test_a_server_id_that_another_replica_has_ends_with_4(servers, new_capture):
    """MySQL shows its replicas to everybody who may be one."""
    sets = {"source.server_id": 77, "capture.snapshot": "never"}
    first, second = new_capture(sets, servers["mysql"]), new_capture(sets, servers["mysql"])
    first.start(snapshot=False)
    cause, message = refusal(second)
    assert cause == "source-server-id"
    assert f"lockstep-{first.prefix}" in message and "77" in message
    wait_until(lambda: first.status()["ready"], 60, "the first, ready")
    assert first.stop() == 0


def test_whose_dump_is_ended_for_another_with_its_server_id_says_so_and_ends(servers, new_capture):
    """MariaDB shows its replicas to few, and ends the dump of the one who came first."""
    sets = {"source.server_id": 77, "capture.snapshot": "never"}
    first, second = new_capture(sets, servers["mariadb"]), new_capture(sets, servers["mariadb"])
    first.start(snapshot=False)
    second.start(snapshot=False)
    process = first.site.running["capture"]
    wait_until(lambda: not process.alive(), 60, "the end of the first")
    error = last_error(first.site.log_lines("capture"))
    assert process.status() == SOURCE and error["cause"] == "source-server-id"
    wait_until(lambda: second.status()["ready"], 60, "the second, ready")
