"""What only the simulator can be told to do: its switches, counters and ordered troubles.

Races that the real server loses now and then (traps 12 and 13) are here, too: the simulator has a
switch that makes them wide enough to be seen every time.
"""
import threading
import time
import uuid

import grpc
import pytest
import requests
from bed import wait_until
from client import DENIED, EXISTS, FULL, INTERNAL, NOT_FOUND, OK, TOO_EARLY, VIEWER, \
    grpc_code, text_in
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as shares_api
import cs3.storage.provider.v1beta1.provider_api_pb2 as api


def fault(sim, **rule):
    return sim.ask("/faults", "POST", rule)["ids"]


def at_once(n, do):
    threads = [threading.Thread(target=do, args=(i,)) for i in range(n)]
    [t.start() for t in threads]
    [t.join() for t in threads]


# ---- counters
def test_calls_are_counted_and_writing_calls_apart(sim, sim_home):
    sim.ask("/counters/reset", "POST")
    sim_home.info()
    assert sim.ask("/counters")["writing"] == 0
    sim_home.file("f")
    seen = sim.ask("/counters")
    assert seen["calls"]["storage-users.Stat"] == 2
    assert seen["writing_calls"] == {"data.PUT": 1, "storage-users.InitiateFileUpload": 1}


# ---- asynchronous uploads
def test_while_a_file_is_processed_it_shows_but_cannot_be_read_or_deleted(sim, sim_home):
    sim.ask("/settings", "POST", {"async": True, "pace": 0})
    before = sim.ask("/state")["backlog"]  # another test's, not drained yet
    node = sim_home.file("f", b"hello")
    info = sim_home.info(node)
    assert text_in(info, "status") == "processing" and info.size == 5
    assert sim_home.get(node).status_code == 425
    assert sim_home.delete(node).status.code == TOO_EARLY
    assert sim_home.move(node, None, "g").status.code == OK
    assert sim_home.set_metadata(node, mtime="1600000000").status.code == OK
    assert sim_home.upload("g", b"again").status_code == 200
    assert sim.ask("/state")["backlog"] == before + 2
    sim.ask("/settings", "POST", {"pace": 1000})
    wait_until(lambda: not sim.ask("/state")["backlog"], 60, "the backlog to be done", 0.02)
    assert text_in(sim_home.info(node), "status") is None
    assert sim_home.get(node).content == b"again"
    assert sim_home.delete(node).status.code == OK


def test_switching_to_synchronous_leaves_the_backlog_pending(sim, sim_home):
    sim.ask("/settings", "POST", {"async": True, "pace": 0})
    node = sim_home.file("f")
    sim.ask("/settings", "POST", {"async": False})
    assert text_in(sim_home.info(node), "status") == "processing"
    assert text_in(sim_home.info(sim_home.file("g")), "status") is None


def test_an_empty_file_is_ready_at_once_even_so(sim, sim_home):
    sim.ask("/settings", "POST", {"async": True, "pace": 0})
    sim_home.initiate("e", 0)
    assert text_in(sim_home.info(None, "e"), "status") is None


# ---- traps that want a race or a size
def test_grants_added_at_once_to_one_node_are_lost_though_all_are_ok(sim, sim_home, sim_people):
    node, others = sim_home.folder("A"), [sim_people() for _ in range(4)]
    sim.ask("/settings", "POST", {"window": 0.05})
    codes = []
    at_once(4, lambda i: codes.append(sim_home.add_grant(node, others[i], VIEWER).status.code))
    assert codes == [OK] * 4
    assert 1 <= len(sim_home.grants(node)) < 4


def test_touching_one_name_at_once_leaves_strays(sim, sim_home):
    sim.ask("/settings", "POST", {"window": 0.05})
    before = sim.ask("/state")["spaces"][sim_home.uid]["nodes"]
    codes = []

    def touch(_):
        request = api.TouchFileRequest(ref=sim_home.ref(None, "t"))
        codes.append(sim_home.call("TouchFile", request).status.code)
    at_once(8, touch)
    assert codes.count(OK) > 1
    assert len(sim_home.list().infos) == 1
    assert sim.ask("/state")["spaces"][sim_home.uid]["nodes"] - before == codes.count(OK)


def test_making_one_folder_at_once_is_exclusive(sim_home):
    codes = []
    at_once(8, lambda _: codes.append(sim_home.mkdir("A").status.code))
    assert sorted(codes) == [OK] + [EXISTS] * 7


def test_an_upload_that_is_never_finished_leaves_a_session_for_ever(sim, sim_home):
    before = sim.ask("/state")["sessions"]
    sim_home.initiate("f", 5)
    assert sim.ask("/state")["sessions"] == before + 1
    sim_home.file("f")
    assert sim.ask("/state")["sessions"] == before + 1


def test_a_long_listing_fails_at_the_gateway_only(sim, sim_home):
    for i in range(20):
        sim_home.mkdir("d%d" % i)
    sim.ask("/settings", "POST", {"limit": 5000})
    assert grpc_code(lambda: sim_home.list(at="gateway")) == "RESOURCE_EXHAUSTED"
    assert len(sim_home.list().infos) == 20


def test_a_link_written_beside_another_writer_fails_without_a_second_try(sim, sim_home):
    from test_metadata import LINKS, System
    system, node = System(sim), sim_home.folder("A")
    sim_home.link(node, VIEWER)
    sim.ask("/settings", "POST", {"window": 0.5})
    answers = []
    maker = threading.Thread(target=lambda: answers.append(sim_home.link(node, VIEWER)))
    maker.start()
    while maker.is_alive():  # one of these is in between
        etag = system.stat(LINKS, "publicshares.json").info.etag
        value = system.read(LINKS, "publicshares.json")
        assert system.write(LINKS, "publicshares.json", value, etag) == (OK, 200)
    maker.join()
    assert answers[0].status.code == INTERNAL


def test_a_share_whose_file_is_just_written_by_another_fails_and_leaves_the_rest(sim, sim_people):
    """The managers try again when they are overtaken, but not the read in between."""
    from test_metadata import SHARES, System
    system, owner, other = System(sim), sim_people(), sim_people()
    first = owner.share(owner.folder("A"), other, VIEWER).share.id.opaque_id
    path, node = "users/%s/created.json" % owner.uid, owner.folder("B")
    value, before = system.read(SHARES, path), system.stat(SHARES, path).info.etag
    sim.ask("/settings", "POST", {"landing": path})
    writer = threading.Thread(target=lambda: system.write(SHARES, path, value, before))
    writer.start()
    while system.stat(SHARES, path).info.etag == before:
        time.sleep(0.01)
    answer = owner.share(node, other, VIEWER)
    sim.ask("/settings", "POST", {"landing": None})
    writer.join()
    assert answer.status.code == INTERNAL and "/created.json" in answer.status.message
    assert len(owner.grants(node)) == 0
    assert [s.id.opaque_id for s in owner.my_shares()] == [first]
    assert len(other.received()) == 2


@pytest.mark.parametrize("name", ["CreateShare", "RemoveShare"])
def test_a_caller_whose_deadline_passes_between_share_and_grant_leaves_the_grant_as_it_was(
        sim, sim_people, name):
    owner, other = sim_people(), sim_people()
    node = owner.folder("A")
    if name == "RemoveShare":
        sid = owner.share(node, other, VIEWER).share.id.opaque_id
        request = shares_api.RemoveShareRequest(ref=owner.share_ref(sid))
    else:
        request = shares_api.CreateShareRequest(resource_info=owner.info(node))
        request.grant.grantee.CopyFrom(owner.grantee(other))
        request.grant.permissions.permissions.CopyFrom(owner.grant(other, VIEWER).permissions)
    def ended():
        return sum("gateway." + name in line for line in sim.ask("/calls")["calls"])
    grants, calls = len(owner.grants(node)), ended()
    fault(sim, call="between." + name, nth=1, effect="latency", ms=2000)
    with pytest.raises(grpc.RpcError) as cut:
        owner.call(name, request, "gateway", timeout=1)
    assert cut.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: ended() > calls, 60, "the server to end the call", 0.02)
    assert len(owner.my_shares()) == 1 - grants and len(owner.grants(node)) == grants


def test_a_user_whose_maker_hangs_up_is_there_and_has_no_role(sim, clients):
    client, name = clients(sim), "u" + uuid.uuid4().hex[:8]
    fault(sim, call="between.PostUser", nth=1, effect="latency", ms=2000)
    with pytest.raises(requests.Timeout):
        requests.post(sim.graph + "/v1.0/users", timeout=1, verify=False,
                      auth=(sim.graph_user, sim.graph_password),
                      json={"onPremisesSamAccountName": name, "displayName": name,
                            "passwordProfile": {"password": "x"}})
    wait_until(lambda: client.graph("GET", "/users/" + name).ok, 60, "the user", 0.02)
    token = client.authenticate(name).token
    roles = "/users/%s/appRoleAssignments" % client.graph("GET", "/users/" + name).json()["id"]
    time.sleep(2)  # what is held goes on
    assert client.graph("GET", roles).json()["value"] == []
    assert client.create_home(token).status.code == DENIED


def test_the_system_data_server_fails_now_and_then(sim, sim_home):
    from test_metadata import LINKS, System
    system = System(sim)
    sim_home.link(sim_home.folder("A"), VIEWER)
    answer = system.provider.InitiateFileDownload(
        api.InitiateFileDownloadRequest(ref=system.ref(LINKS, "publicshares.json")),
        metadata=system.meta)
    codes = [requests.get(answer.protocols[0].download_endpoint,
                          headers={"x-access-token": system.token}).status_code
             for _ in range(45)]
    assert codes.count(500) in (1, 2) and set(codes) == {200, 500}


def test_a_password_can_be_demanded_for_links(sim, sim_home):
    sim.ask("/settings", "POST", {"public_password": True})
    node = sim_home.folder("A")
    assert sim_home.link(node, VIEWER).status.code == 4
    assert sim_home.link(node, VIEWER, "Secret1!").status.code == OK


def test_a_folder_moved_below_itself_hangs_the_call(sim_home):
    outer = sim_home.folder("A")
    inner = sim_home.folder("B", outer)
    request = api.MoveRequest(source=sim_home.ref(outer), destination=sim_home.ref(inner, "A"))
    assert grpc_code(lambda: sim_home.call("Move", request, timeout=0.3)) == "DEADLINE_EXCEEDED"


def test_a_full_space_refuses(sim, sim_home):
    sim.ask("/quota", "POST", {"user": sim_home.name, "bytes": 8})
    sim_home.file("f", b"12345")
    assert sim_home.initiate("g", 5).status.code == FULL
    one, two = sim_home.initiate("g", 3), sim_home.initiate("h", 3)
    assert sim_home.put(one, b"abc").status_code == 200
    assert sim_home.put(two, b"abc").status_code == 507


# ---- tokens, stops, deadlines
def test_tokens_expire_at_the_switch(sim, clients, sim_people):
    home = sim_people()
    sim.ask("/tokens/expire", "POST")
    assert grpc_code(home.stat) == "PERMISSION_DENIED"
    assert home.client.http.get("http://%s/data/spaces/x" % sim.data, headers={
        "x-access-token": home.token}).status_code == 401
    fresh = clients(sim).authenticate(home.name)
    home.become(fresh.token)
    assert home.stat().status.code == OK


def test_what_the_gateway_says_while_the_server_stops(sim, clients, sim_home):
    sim_home.share(sim_home.folder("A"), "group", VIEWER)
    sim.ask("/stopping", "POST", {"seconds": 60})
    assert sim_home.stat(at="gateway").status.code == NOT_FOUND
    assert grpc_code(sim_home.stat) == "UNAVAILABLE"
    assert clients(sim).authenticate(sim_home.name).status.code == INTERNAL
    lists = [sim_home.call("ListShares", shares_api.ListSharesRequest(), "gateway")
             for _ in range(2)]
    assert [(a.status.code, len(a.shares)) for a in lists] == [(OK, 0), (INTERNAL, 0)]
    sim.ask("/stopping", "POST", {"seconds": 0})
    assert len(sim_home.my_shares()) == 1
    assert sim_home.stat(at="gateway").status.code == OK


def test_who_is_signed_in_is_denied_everything_while_the_server_comes_up(sim, clients, sim_home):
    file = sim_home.file("f", b"hello")
    sim.ask("/coming_up", "POST", {"seconds": 60})
    assert clients(sim).authenticate(sim_home.name).status.code == OK
    assert sim_home.stat(at="gateway").status.code == DENIED
    assert sim_home.stat().status.code == DENIED
    assert sim_home.initiate("g", 5).status.code == DENIED
    assert sim_home.client.http.get("http://%s/data/spaces/x" % sim.data, headers={
        "x-access-token": sim_home.token}).status_code == 403
    sim.ask("/coming_up", "POST", {"seconds": 0})
    assert sim_home.stat(file).status.code == OK


def test_a_deadline_that_runs_out_in_the_gateway_is_not_found(sim, sim_home):
    fault(sim, call="gateway.Stat", effect="latency", ms=60000)
    fault(sim, call="storage-users.Stat", effect="latency", ms=5000)
    request = api.StatRequest(ref=sim_home.ref())
    assert sim_home.call("Stat", request, "gateway", 12).status.code == NOT_FOUND
    assert grpc_code(lambda: sim_home.call("Stat", request, timeout=0.2)) == "DEADLINE_EXCEEDED"


def test_down_means_refused_connections(sim, clients, sim_people):
    home = sim_people()
    sim.ask("/down", "POST")
    channel = grpc.insecure_channel(sim.provider)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get("http://" + sim.data)
    assert grpc_code(home.stat) == "UNAVAILABLE"
    channel.close()
    sim.ask("/up", "POST")
    # gRPC waits between attempts to connect
    wait_until(lambda: grpc_code(home.stat) == "OK", 60, "a connection", 0.1)
    assert home.stat().status.code == OK


# ---- ordered troubles
def test_the_third_call_fails_and_no_other(sim, sim_home):
    fault(sim, call="storage-users.Stat", nth=3, effect="grpc", status="UNAVAILABLE")
    assert [grpc_code(sim_home.stat) for _ in range(5)] == ["OK", "OK", "UNAVAILABLE", "OK", "OK"]


def test_chance_with_a_seed_is_the_same_chance_again(sim, sim_home):
    def draw():
        sim.ask("/faults", "DELETE")
        fault(sim, call="*.Stat", probability=0.5, seed=7, effect="code", code=15)
        return [sim_home.stat().status.code for _ in range(20)]
    first = draw()
    assert set(first) == {OK, INTERNAL} and draw() == first


@pytest.mark.parametrize("status", [429, 500, 503, 507, 423])
def test_the_data_server_answers_as_ordered(sim, sim_home, status):
    fault(sim, call="data.PUT", nth=1, effect="http", http=status, retry_after=2)
    answer = sim_home.upload("f", b"hello")
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "2")
    assert sim_home.stat(None, "f").status.code == NOT_FOUND


def test_a_connection_cut_before_the_call_has_no_effect(sim, sim_home):
    fault(sim, call="storage-users.CreateContainer", nth=1, effect="drop-before")
    assert grpc_code(lambda: sim_home.mkdir("A")) == "UNAVAILABLE"
    assert eventually(lambda: sim_home.stat(None, "A").status.code) == NOT_FOUND


def test_a_connection_cut_after_the_call_loses_only_the_answer(sim, sim_home):
    fault(sim, call="storage-users.CreateContainer", nth=1, effect="drop-after")
    assert grpc_code(lambda: sim_home.mkdir("A")) == "UNAVAILABLE"
    assert eventually(lambda: sim_home.stat(None, "A").status.code) == OK


def eventually(ask):
    for _ in range(600):
        try:
            return ask()
        except grpc.RpcError:
            time.sleep(0.1)
    return ask()


@pytest.mark.parametrize("effect, there", [("drop-before", NOT_FOUND), ("drop-after", OK)])
def test_a_put_whose_answer_is_lost(sim, sim_home, effect, there):
    fault(sim, call="data.PUT", nth=1, effect=effect)
    with pytest.raises(requests.exceptions.ConnectionError):
        sim_home.upload("f", b"hello")
    assert sim_home.stat(None, "f").status.code == there


def test_an_upload_dies_in_the_middle(sim, sim_home):
    fault(sim, call="data.PUT", nth=1, effect="die", bytes=100000)
    with pytest.raises(requests.exceptions.ConnectionError):
        sim_home.upload("f", b"x" * 5_000_000)
    assert sim_home.stat(None, "f").status.code == NOT_FOUND


def test_a_session_that_died_in_the_middle_gets_the_rest_appended(sim, sim_home):
    fault(sim, call="data.PUT", nth=1, effect="die", bytes=3)
    answer = sim_home.initiate("f", 6, checksum="sha1 1f8ac10f23c5b5bc1167bda84b833e5c057a77d2")
    with pytest.raises(requests.exceptions.ConnectionError):
        sim_home.put(answer, b"abcdef")
    assert sim_home.put(answer, b"abcdef").status_code == 419


# ---- a link from outside
def test_a_link_is_looked_at_from_outside(sim, sim_home):
    node = sim_home.file("f.txt", b"hello")
    link = sim_home.link(node, VIEWER, "Secret1!").share
    url = sim.links + "/s/" + link.token
    assert requests.get(url).status_code == 401
    assert requests.get(sim.links + "/s/none").status_code == 404
    shown = requests.get(url, params={"password": "Secret1!"}).json()
    assert (shown["name"], shown["size"], shown["link"]["token"]) == ("f.txt", 5, link.token)
    got = requests.get(url, params={"password": "Secret1!", "download": 1})
    assert got.content == b"hello"
    sim_home.delete(node)
    assert requests.get(url, params={"password": "Secret1!"}).status_code == 404


def test_large_content_is_kept(sim_home):
    data = bytes(range(256)) * 8192
    node = sim_home.file("big", data)
    assert sim_home.get(node).content == data


# ---- backups
def test_a_backup_that_is_put_back_knows_nothing_of_what_came_after_it(sim, sim_home, sim_people):
    kept, other = sim_home.folder("kept"), sim_people()
    node = sim_home.file("f", b"before", mtime="1600000000")
    share = sim_home.share(kept, other, VIEWER).share
    sim.ask("/backup", "POST")
    etag = sim_home.info(node).etag
    for _ in range(2):  # it is good more than once
        late = sim_home.file("late", b"x")
        assert sim_home.upload("f", b"after").status_code == 200
        assert sim_home.delete(kept).status.code == OK
        sim.ask("/restore", "POST")
        assert sim_home.stat(late).status.code == NOT_FOUND
        assert sim_home.get(node).content == b"before" and sim_home.info(node).etag == etag
        assert sim_home.info(None, "kept").id.opaque_id == kept
        listed = other.received()
        assert [s.share.id.opaque_id for s in listed] == [share.id.opaque_id]
