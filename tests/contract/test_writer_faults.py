"""Our writer against ordered troubles: causes, and repeats that finish what was begun.

Only against the simulator. The rule each test ends with: after the trouble one more call, with
`doubtful` where the outcome was unknown, leaves exactly one of everything.
"""
import hashlib
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from bed.certs import Certificates
from client import DENIED, EDITOR, INTERNAL, NOT_FOUND, OK, VIEWER, text_in
from probe import Probe, bits
from test_writer import make_site, share


@pytest.fixture
def new_site(sim, clients, tmp_path):
    """Makes one; its probe's deadline is one that only an answer that never comes can miss."""
    made = []

    def make(**options):
        made.append(make_site(sim, clients, tmp_path, **{"target__timeout_ms": 60000, **options}))
        made[-1].sim = sim
        return made[-1]

    yield make
    sim.ask("/faults", "DELETE")
    for site in made:
        site.probe.stop()


@pytest.fixture
def site(new_site):
    return new_site()


def fault(site, **rule):
    site.sim.ask("/faults", "POST", rule)


def put_fails(site, name="f", text="hello"):
    return site.fails("put_file", parent_id=site.root, name=name, blob=site.blob(text),
                      mtime=1600000000, mtime_ns=7)


def one_file(site, text="hello"):
    """After all: one file with this content, no version, nothing else."""
    infos = site.see.list().infos
    assert [i.name for i in infos] == ["f"]
    assert site.see.get(infos[0].id.opaque_id).content == text.encode()
    assert len(site.see.versions(infos[0].id.opaque_id).versions) == 0
    assert len(site.see.trash().recycle_items) == 0


@pytest.mark.parametrize("status, cause", [
    (429, "slow-down"), (503, "slow-down"), (507, "quota"), (423, "busy"), (502, "target-down"),
    (504, "target-down")])
def test_an_http_status_of_the_put_is_told_as_its_cause(site, status, cause):
    fault(site, call="data.PUT", nth=1, effect="http", http=status)
    refused = put_fails(site)
    assert (refused.kind, refused.cause) == ("retry", cause)
    # What somebody in between says for want of an answer is no reason to end what may be finishing.
    assert ("DELETE upload" in site.probe.calls) == (status not in (502, 504))
    site.put("f", "hello", doubtful=True)
    one_file(site)


def test_retry_after_is_passed_on_in_milliseconds(site):
    fault(site, call="data.PUT", nth=1, effect="http", http=429, retry_after=3)
    refused = put_fails(site)
    assert (refused.cause, refused.code) == ("slow-down", 3000)


@pytest.mark.parametrize("status, cause", [
    ("UNAVAILABLE", "target-down"), ("RESOURCE_EXHAUSTED", "slow-down")])
def test_a_grpc_status_is_told_as_its_cause(site, status, cause):
    fault(site, call="storage-users.CreateContainer", nth=1, effect="grpc", status=status)
    refused = site.fails("make_folder", parent_id=site.root, name="A")
    assert (refused.kind, refused.cause) == ("retry", cause)


@pytest.mark.parametrize("code, cause", [(19, "quota"), (20, "busy"), (12, "busy"), (21, "busy")])
def test_a_cs3_code_is_told_as_its_cause(site, code, cause):
    node = site.put("f", "hello")["id"]
    fault(site, call="storage-users.Move", nth=1, effect="code", code=code)
    refused = site.fails("move", node_id=node, parent_id=site.root, name="g")
    assert (refused.kind, refused.cause) == ("retry", cause)


def test_a_late_answer_is_a_timeout_and_the_repeat_finds_the_folder(new_site):
    site = new_site(target__timeout_ms=4000)
    fault(site, call="storage-users.CreateContainer", nth=1, effect="latency", ms=5000)
    refused = site.fails("make_folder", parent_id=site.root, name="A")
    assert (refused.kind, refused.cause) == ("retry", "timeout")
    site.call("make_folder", parent_id=site.root, name="A", doubtful=True)
    assert [i.name for i in site.see.list().infos] == ["A"]


@pytest.mark.parametrize("effect", ["drop-before", "drop-after"])
@pytest.mark.parametrize("call", ["data.PUT", "storage-users.InitiateFileUpload"])
def test_an_upload_cut_off_is_finished_once(site, call, effect):
    fault(site, call=call, nth=1, effect=effect)
    answer = site.probe.raw("put_file", space=site.space, parent_id=site.root, name="f",
                            blob=site.blob("hello"), mtime=1600000000, mtime_ns=7)
    if not answer["ok"]:
        assert answer["kind"] == "retry" and answer["cause"] in ("timeout", "target-down")
        site.put("f", "hello", doubtful=True)
    one_file(site)


def test_an_upload_that_dies_in_the_middle_is_finished_once(site):
    data = bytes(range(256)) * 20000
    fault(site, call="data.PUT", nth=1, effect="die", bytes=70000)
    answer = site.probe.raw("put_file", space=site.space, parent_id=site.root, name="f",
                            blob=site.blob(data), mtime=1600000000, mtime_ns=7)
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        assert site.see.stat(None, "f").status.code == NOT_FOUND
        site.put("f", data, doubtful=True)
    node = site.see.info(None, "f").id.opaque_id
    assert site.see.get(node).content == data
    assert len(site.see.versions(node).versions) == 0


@pytest.mark.parametrize("then", ["changed", "gone"])
def test_a_file_without_checksums_that_arrived_is_known_again(site, then):
    """Its answer was lost, and what the source has meanwhile cannot prove whose it is."""
    blob = site.blob("hello", sums=False)
    arguments = {"parent_id": site.root, "name": "f", "mtime": 1600000000, "mtime_ns": 7}
    site.call("put_file", blob=blob, **arguments)
    if then == "changed":
        (site.data / "files" / "blob").write_bytes(b"other")
    else:
        (site.data / "files" / "blob").unlink()
    again = site.probe("put_file", space=site.space, blob=blob, doubtful=True, **arguments)
    assert again["node"]["size"] == 5 and "PUT" not in site.probe.calls
    assert again["node"]["sha1"] == hashlib.sha1(b"hello").hexdigest()
    one_file(site)
    arguments["mtime_ns"] = 8
    other = site.fails("put_file", blob=blob, doubtful=True, **arguments)
    assert other.kind == "retry"
    one_file(site)


def test_a_put_without_checksums_whose_answer_is_lost_is_done_once(site):
    blob = site.blob("hello", sums=False)
    arguments = {"parent_id": site.root, "name": "f", "mtime": 1600000000, "mtime_ns": 7,
                 "blob": blob}
    fault(site, call="data.PUT", nth=1, effect="drop-after")
    answer = site.probe.raw("put_file", space=site.space, **arguments)
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        site.call("put_file", doubtful=True, **arguments)
    one_file(site)


def test_new_content_whose_answer_is_lost_makes_one_version(site):
    node = site.put("f", "one")["id"]
    fault(site, call="data.PUT", nth=1, effect="drop-after")
    answer = site.probe.raw("put_file", space=site.space, node_id=node, blob=site.blob("two"),
                            mtime=1600000001, mtime_ns=8)
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        site.overwrite(node, "two", doubtful=True)
    assert site.see.get(node).content == b"two"
    assert len(site.see.versions(node).versions) == 1


@pytest.mark.parametrize("effect", ["drop-before", "drop-after"])
@pytest.mark.parametrize("name", ["make_folder", "move", "trash", "restore", "purge"])
def test_a_tree_call_cut_off_is_finished_by_its_doubtful_repeat(site, name, effect):
    folder = site.folder("A")
    node = site.put("f", "x")["id"]
    method = {"make_folder": "CreateContainer", "move": "Move", "trash": "Delete",
              "restore": "RestoreRecycleItem", "purge": "PurgeRecycle"}[name]
    arguments = {"make_folder": {"parent_id": folder, "name": "B"},
                 "move": {"node_id": node, "parent_id": folder, "name": "g"},
                 "trash": {"node_id": node},
                 "restore": {"top_id": node, "parent_id": folder, "name": "g"},
                 "purge": {"top_id": node}}[name]
    if name in ("restore", "purge"):
        site.call("trash", node_id=node)
    fault(site, call="storage-users." + method, nth=1, effect=effect)
    answer = site.probe.raw(name, space=site.space, **arguments)
    if not answer["ok"]:
        assert answer["kind"] == "retry" and answer["cause"] in ("timeout", "target-down")
        site.call(name, **arguments, **({} if name == "purge" else {"doubtful": True}))
    inside = [i.name for i in site.see.list(folder).infos]
    trashed = [i.key for i in site.see.trash().recycle_items]
    assert (inside, trashed) == {
        "make_folder": (["B"], []), "move": (["g"], []), "trash": ([], [node]),
        "restore": (["g"], []), "purge": ([], [])}[name]


@pytest.mark.parametrize("effect", ["drop-before", "drop-after"])
def test_a_share_cut_off_is_made_once(pair, effect):
    node = pair.site.folder("A")
    fault(pair.site, call="gateway.CreateShare", nth=1, effect=effect)
    arguments = {"node_id": node, "folder": True, "group": False, "grantee_id": pair.uid,
                 "sharer": pair.site.name, "expires": 0, "permissions": bits(VIEWER)}
    answer = pair.site.probe.raw("share_set", space=pair.site.space, **arguments)
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        pair.site.call("share_set", doubtful=True, **arguments)
    assert len(pair.see.received()) == 1 and len(pair.site.see.grants(node)) == 1


def test_a_share_cut_off_before_its_grant_is_finished(pair):
    node = pair.site.folder("A")
    arguments = {"node_id": node, "folder": True, "group": False, "grantee_id": pair.uid,
                 "sharer": pair.site.name, "expires": 0, "permissions": bits(VIEWER)}
    fault(pair.site, call="between.CreateShare", nth=1, effect="grpc", status="DEADLINE_EXCEEDED")
    failed = pair.site.fails("share_set", **arguments)
    assert (failed.kind, failed.cause) == ("retry", "timeout")
    assert len(pair.see.received()) == 1 and len(pair.site.see.grants(node)) == 0
    sid = pair.site.call("share_set", doubtful=True, **arguments)["id"]
    assert [r.share.id.opaque_id for r in pair.see.received()] == [sid]
    assert len(pair.site.see.grants(node)) == 1


def test_a_share_has_longer_than_other_calls(new_site):
    site = new_site(target__timeout_ms=4000)
    other = site.probe("user_ensure", uid=site.name + "x", display_name="X")["id"]
    node = site.folder("A")
    who = {"node_id": node, "group": False, "grantee_id": other, "sharer": site.name}
    for call in ("CreateShare", "UpdateShare", "RemoveShare"):
        fault(site, call="between." + call, nth=1, effect="latency", ms=5000)
    sid = site.call("share_set", folder=True, expires=0, permissions=bits(VIEWER), **who)["id"]
    site.call("share_set", folder=True, expires=0, permissions=bits(EDITOR), share_id=sid, **who)
    assert [g.permissions.delete for g in site.see.grants(node)] == [True]
    site.call("share_remove", sharer=site.name, share_id=sid)
    assert len(site.see.grants(node)) == 0


@pytest.mark.parametrize("trouble", [
    {"effect": "grpc", "status": "UNAVAILABLE"}, {"effect": "code", "code": INTERNAL}])
@pytest.mark.parametrize("call", ["ListGrants", "AddGrant"])
def test_a_grant_that_cannot_be_given_yet_is_given_later(pair, call, trouble):
    node = pair.site.folder("A")
    half = pair.site.see.share(node, pair.see, VIEWER, at="sharing").share.id.opaque_id
    arguments = {"node_id": node, "folder": True, "group": False, "grantee_id": pair.uid,
                 "sharer": pair.site.name, "expires": 0, "permissions": bits(VIEWER)}
    fault(pair.site, call="storage-users." + call, nth=1, **trouble)
    failed = pair.site.fails("share_set", doubtful=True, **arguments)
    assert (failed.kind, failed.cause) == ("retry", "internal")
    assert pair.site.call("share_set", doubtful=True, **arguments)["id"] == half
    assert len(pair.site.see.grants(node)) == 1


def test_a_removal_cut_off_before_the_grant_went_is_finished(pair):
    node = pair.site.folder("A")
    who = {"node_id": node, "group": False, "grantee_id": pair.uid, "sharer": pair.site.name}
    sid = pair.site.call("share_set", folder=True, expires=0, permissions=bits(VIEWER), **who)["id"]
    fault(pair.site, call="between.RemoveShare", nth=1, effect="grpc", status="DEADLINE_EXCEEDED")
    failed = pair.site.fails("share_remove", sharer=pair.site.name, share_id=sid)
    assert (failed.kind, failed.cause) == ("retry", "timeout")
    assert len(pair.site.see.my_shares()) == 0 and len(pair.site.see.grants(node)) == 1
    pair.site.call("share_remove", sharer=pair.site.name, share_id=sid, doubtful=True)
    for call in ("ListGrants", "RemoveGrant"):
        fault(pair.site, call="storage-users." + call, nth=1, effect="code", code=INTERNAL)
        failed = pair.site.fails("share_clear", share_id=sid, **who)
        assert (failed.kind, failed.cause) == ("retry", "internal")
    pair.site.call("share_clear", share_id=sid, **who)
    assert len(pair.site.see.grants(node)) == 0


def test_a_change_of_a_share_that_its_grant_does_not_follow_is_not_taken_for_done(pair):
    node = pair.site.folder("A")
    arguments = {"node_id": node, "folder": True, "group": False, "grantee_id": pair.uid,
                 "sharer": pair.site.name, "expires": 0}
    sid = pair.site.call("share_set", permissions=bits(EDITOR), **arguments)["id"]
    fault(pair.site, call="gateway.UpdateShare", nth=1, effect="code", code=OK)
    arguments.update(share_id=sid, permissions=bits(VIEWER))
    failed = pair.site.fails("share_set", **arguments)
    assert (failed.kind, failed.cause) == ("retry", "timeout")
    assert pair.site.call("share_set", doubtful=True, **arguments)["id"] == sid
    assert [g.permissions.delete for g in pair.site.see.grants(node)] == [False]


@pytest.mark.parametrize("effect", ["drop-before", "drop-after"])
def test_a_link_cut_off_is_made_once(site, effect):
    node = site.folder("A")
    fault(site, call="gateway.CreatePublicShare", nth=1, effect=effect)
    arguments = {"node_id": node, "folder": True, "sharer": site.name, "expires": 0,
                 "has_password": False, "label": "one", "permissions": bits(VIEWER)}
    answer = site.probe.raw("link_set", space=site.space, **arguments)
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        site.call("link_set", doubtful=True, **arguments)
    assert len(site.see.my_links()) == 1


def arguments_of_a_link(site, node):
    return {"node_id": node, "folder": True, "sharer": site.name, "expires": 0,
            "has_password": False, "label": "one", "permissions": bits(VIEWER)}


def test_a_link_whose_naming_fails_is_removed_again(site):
    arguments = arguments_of_a_link(site, site.folder("A"))
    fault(site, call="gateway.UpdatePublicShare", nth=1, effect="code", code=15)
    refused = site.fails("link_set", **arguments)
    assert (refused.kind, refused.cause) == ("retry", "internal")
    assert len(site.see.my_links()) == 0
    site.call("link_set", **arguments)
    assert [x.display_name for x in site.see.my_links()] == ["one"]


def test_a_link_that_can_neither_be_named_nor_removed_is_finished_later(site):
    arguments = arguments_of_a_link(site, site.folder("A"))
    fault(site, call="gateway.UpdatePublicShare", nth=1, effect="code", code=15)
    fault(site, call="gateway.RemovePublicShare", nth=1, effect="code", code=15)
    refused = site.fails("link_set", **arguments)
    assert (refused.kind, refused.cause) == ("retry", "timeout")
    site.call("link_set", doubtful=True, **arguments)
    assert [x.display_name for x in site.see.my_links()] == ["one"]


def test_a_list_of_links_that_fails_makes_no_second_link(pair):
    site, node = pair.site, pair.site.folder("A")
    share(pair, node, VIEWER)
    want = dict(arguments_of_a_link(site, node), sharer=pair.name)
    made = site.call("link_set", **want)["id"]
    fault(site, call="gateway.ListPublicShares", nth=2, effect="code", code=15)
    refused = site.fails("link_set", **dict(want, link_id="none-of-them"))
    assert (refused.kind, refused.cause) == ("retry", "internal")
    site.sim.ask("/faults", "DELETE")
    assert {x.id.opaque_id for x in [*site.see.my_links(), *pair.see.my_links()]} == {made}


def test_done_means_ready_when_the_target_works_asynchronously(site):
    site.sim.ask("/settings", "POST", {"async": True, "pace": 2})
    node = site.put("f", "hello")["id"]
    assert text_in(site.see.info(node), "status") is None
    assert site.see.get(node).content == b"hello"


def test_an_upload_that_is_not_processed_is_not_sent_a_second_time(new_site):
    site = new_site(target__timeout_ms=8000)
    site.sim.ask("/settings", "POST", {"async": True, "pace": 0})
    refused = put_fails(site)
    assert refused.kind == "retry" and refused.cause in ("timeout", "busy")
    again = site.fails("put_file", parent_id=site.root, name="f", blob=site.blob("hello"),
                       mtime=1600000000, mtime_ns=7, doubtful=True)
    assert (again.kind, again.cause) == ("retry", "busy")
    assert site.sim.ask("/state")["backlog"] == 1
    site.sim.ask("/settings", "POST", {"pace": 1000})
    while site.sim.ask("/state")["backlog"]:
        pass
    site.put("f", "hello", doubtful=True)
    one_file(site)


def test_a_file_being_processed_cannot_be_trashed_yet(site):
    node = site.put("f", "hello")["id"]
    site.sim.ask("/settings", "POST", {"async": True, "pace": 0})
    site.see.upload("f", b"more")
    refused = site.fails("trash", node_id=node)
    assert (refused.kind, refused.cause) == ("retry", "busy")


def test_expired_tokens_are_renewed_without_a_word(site):
    site.folder("A")
    site.sim.ask("/tokens/expire", "POST")
    site.folder("B")
    site.sim.ask("/tokens/expire", "POST")
    site.put("f", "hello")
    site.see.become(site.client.authenticate(site.name).token)
    assert {i.name for i in site.see.list().infos} == {"A", "B", "f"}


def test_a_token_that_is_refused_again_is_a_sign_in_trouble(site):
    fault(site, call="storage-users.*", effect="grpc", status="PERMISSION_DENIED",
          message="auth: core access token is invalid")
    refused = site.fails("make_folder", parent_id=site.root, name="A")
    assert (refused.kind, refused.cause) == ("retry", "sign-in")


def test_while_the_target_stops_nothing_is_taken_for_gone(site):
    node = site.put("f", "hello")["id"]
    site.sim.ask("/stopping", "POST", {"seconds": 600})
    for name, arguments in (("move", {"parent_id": site.root, "name": "g"}), ("trash", {})):
        refused = site.fails(name, node_id=node, **arguments)
        assert (refused.kind, refused.cause) == ("retry", "target-down")


def test_a_share_is_not_taken_for_removed_while_the_target_stops(pair):
    node = pair.site.folder("A")
    sid = share(pair, node, VIEWER)["id"]
    pair.site.sim.ask("/stopping", "POST", {"seconds": 600})
    refused = pair.site.fails("share_remove", sharer=pair.site.name, share_id=sid)
    assert refused.kind == "retry"
    pair.site.sim.ask("/stopping", "POST", {"seconds": 0})
    assert pair.site.see.get_share(sid).status.code == OK


def test_a_target_that_is_away_and_comes_back(site):
    site.sim.ask("/down", "POST")
    assert site.probe.fails("ping").cause == "target-down"
    assert site.fails("make_folder", parent_id=site.root, name="A").cause == "target-down"
    site.sim.ask("/up", "POST")
    site.folder("A")
    assert [i.name for i in site.see.list().infos] == ["A"]


def test_a_name_that_is_taken_between_looking_and_doing(site):
    node = site.put("f", "hello")["id"]
    fault(site, call="storage-users.Move", nth=1, effect="code", code=7)
    refused = site.fails("move", node_id=node, parent_id=site.root, name="g")
    assert (refused.kind, refused.cause) in (("retry", "taken"), ("retry", "busy"))


@pytest.mark.parametrize("status, kind, cause", [
    (401, "retry", "target-down"), (403, "retry", "graph-refused"), (302, "retry", "target-down")])
def test_a_graph_that_refuses_us_later_ends_nothing(site, status, kind, cause):
    fault(site, call="graph.*", effect="http", http=status)
    refused = site.probe.fails("user_enable", user_id=site.user_id, enabled=True)
    assert (refused.kind, refused.cause) == (kind, cause)
    site.sim.ask("/faults", "DELETE")
    site.probe("user_enable", user_id=site.user_id, enabled=True)


@pytest.mark.parametrize("status", [401, 403])
def test_a_graph_that_refuses_us_from_the_start_is_fatal(site, status):
    fault(site, call="graph.*", effect="http", http=status)
    refused = site.probe.fails("open")
    assert (refused.kind, refused.cause) == ("fatal", "target-config")


@pytest.mark.parametrize("code", [6, 11])
def test_what_is_there_is_never_called_gone(site, code):
    """Whatever the call says: the core forgets what is gone, with all that is below."""
    folder, node = site.folder("A"), site.put("f", "x")["id"]
    calls = (("CreateContainer", "make_folder", {"parent_id": folder, "name": "B"}),
             ("Move", "move", {"node_id": node, "parent_id": folder, "name": "g"}),
             ("Delete", "trash", {"node_id": node}),
             ("RestoreRecycleItem", "restore", {"top_id": node, "parent_id": folder, "name": "g"}))
    for method, name, arguments in calls:
        if name == "trash" and code == 11:
            site.call("trash", **arguments)
            continue
        fault(site, call="storage-users." + method, nth=1, effect="code", code=code)
        refused = site.fails(name, **arguments)
        assert (refused.kind, refused.cause) == ("retry", "busy")
        site.call(name, **arguments)


def test_a_thing_in_a_trashed_folder_is_gone_only_if_it_is_not_listed(site):
    folder = site.folder("A")
    site.put("f", "x", parent=site.folder("B", folder))
    site.call("trash", node_id=folder)
    arguments = {"top_id": folder, "parent_id": site.root, "name": "f"}
    fault(site, call="storage-users.RestoreRecycleItem", nth=1, effect="code", code=15)
    refused = site.fails("restore", relative="B/f", **arguments)
    assert (refused.kind, refused.cause) == ("retry", "internal")
    refused = site.fails("restore", relative="B/none", **arguments)
    assert (refused.kind, refused.cause) == ("retry", "gone")
    refused = site.fails("restore", relative="none/f", **arguments)
    assert refused.kind == "retry"
    site.call("restore", relative="B/f", **arguments)


@pytest.fixture
def behind_proxy(sim, tmp_path):
    """A probe whose Graph lies behind a proxy that answers everything itself, with a page."""
    ends = []

    def make(status=200, scheme="http", **options):
        class Page(BaseHTTPRequestHandler):
            def page(self):
                self.send_response(status)
                self.send_header("Content-Length", "13")
                self.end_headers()
                self.wfile.write(b"<html></html>")

            do_GET = do_POST = do_PATCH = do_DELETE = page

            def log_message(self, *args):
                pass

        proxy = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        if scheme == "https":
            certificates = Certificates(tmp_path / "certificates")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.server, certificates.server.with_suffix(".key"))
            proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        behind = SimpleNamespace(**{k: getattr(sim, k) for k in (
            "gateway", "provider", "graph_user", "graph_password", "storage_id", "machine_key")},
            graph=f"{scheme}://127.0.0.1:{proxy.server_port}/graph")
        probe = Probe(behind, tmp_path, people__mode="create", **options)
        ends.extend((probe.stop, proxy.shutdown, proxy.server_close))
        return probe

    yield make
    for end in ends:
        end()


def test_a_certificate_that_is_not_trusted_is_waited_for(behind_proxy):
    """It may be about to be renewed: a proxy has its own one while it asks for the right one."""
    refused = behind_proxy(scheme="https", target__tls_verify="true").fails("open")
    assert (refused.kind, refused.cause) == ("retry", "target-down")


@pytest.mark.parametrize("status", [200, 302, 404, 502])
@pytest.mark.parametrize("call, arguments", [
    ("group_remove", {"group_id": "g"}),
    ("member_set", {"group_id": "g", "user_id": "u", "member": False}),
    ("member_set", {"group_id": "g", "user_id": "u", "member": True}),
    ("user_enable", {"user_id": "u", "enabled": False})])
def test_a_page_of_a_proxy_is_no_answer_of_graph(behind_proxy, status, call, arguments):
    """Else somebody would stay a member for ever whom the source has put out."""
    refused = behind_proxy(status=status).fails(call, **arguments)
    assert (refused.kind, refused.cause) == ("retry", "target-down")


def test_a_home_that_may_not_be_made_yet_is_waited_for(site):
    """So says a target whose service of permissions is away."""
    fault(site, call="gateway.CreateHome", times=2, effect="code", code=8)
    refused = site.probe.fails("space_ensure", uid=site.name)
    assert (refused.kind, refused.cause) == ("retry", "no-role")
    site.probe("space_ensure", uid=site.name)


@pytest.mark.parametrize("effect", ["http", "drop-before"])
def test_a_user_whose_making_was_cut_off_before_his_role_has_a_space_all_the_same(site, effect):
    name = site.name + "x"
    fault(site, call="between.PostUser", nth=1, effect=effect)
    answer = site.probe.raw("user_ensure", uid=name, display_name="X")
    if not answer["ok"]:
        assert answer["kind"] == "retry"
        site.probe("user_ensure", uid=name, display_name="X")
    token = site.client.authenticate(name).token
    assert site.client.create_home(token).status.code == DENIED
    site.probe("space_ensure", uid=name)


def test_a_role_that_nobody_may_give_is_waited_for(site):
    name = site.name + "x"
    fault(site, call="between.PostUser", nth=1, effect="http")
    fault(site, call="graph.POST /users/{id}/appRoleAssignments", nth=1, effect="http", http=403)
    site.probe.fails("user_ensure", uid=name, display_name="X")
    refused = site.probe.fails("space_ensure", uid=name)
    assert (refused.kind, refused.cause) == ("retry", "no-role")
    site.probe("space_ensure", uid=name)


def test_a_wrong_machine_key_is_fatal(sim, clients, tmp_path):
    wrong = SimpleNamespace(**{k: getattr(sim, k) for k in (
        "gateway", "provider", "graph", "graph_user", "graph_password", "storage_id")},
        machine_key="wrong")
    probe = Probe(wrong, tmp_path)
    refused = probe.fails("open")
    assert (refused.kind, refused.cause) == ("fatal", "target-config")
    probe.stop()


def test_a_link_with_a_wish_for_a_password_never_stands_open_meanwhile(site):
    node = site.folder("A")
    fault(site, call="gateway.UpdatePublicShare", effect="code", code=15)
    site.probe.raw("link_set", space=site.space, node_id=node, folder=True, sharer=site.name,
                   expires=0, has_password=True, label="x", permissions=bits(VIEWER))
    assert all(x.password_protected for x in site.see.my_links())


def test_a_member_who_is_refused_though_he_is_out_is_out(site):
    """A group that is removed in the same moment answers so."""
    gid = site.probe("group_ensure", gid="grp " + site.name)["id"]
    out = dict(group_id=gid, user_id=site.user_id, member=False)
    site.probe("member_set", **{**out, "member": True})
    fault(site, call="graph.DELETE*", effect="http", http=405)
    refused = site.probe.fails("member_set", **out)
    assert (refused.kind, refused.cause) == ("poison", "refused")
    site.sim.ask("/faults", "DELETE")
    site.probe("member_set", **out)
    fault(site, call="graph.DELETE*", effect="http", http=405)
    site.probe("member_set", **out)
