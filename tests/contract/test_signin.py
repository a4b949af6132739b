"""Sign-in, tokens, spaces."""
import time

import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.spaces_api_pb2 as spaces_api
import pytest
from bed import wait_until
from bed.target import real_ocis
from client import DENIED, EXISTS, INTERNAL, NOT_FOUND, OK, Session, grpc_code, opaque
from conftest import HOMES_S


def test_a_real_ocis_was_asked_too():
    if not real_ocis():
        pytest.skip("no oCIS binary here: only the simulator was asked")


SPACE_TYPE = spaces_api.ListStorageSpacesRequest.Filter.TYPE_SPACE_TYPE


def personal(**more):
    return spaces_api.ListStorageSpacesRequest(
        filters=[{"type": SPACE_TYPE, "space_type": "personal"}], **more)


def test_the_machine_key_makes_one_any_user_by_name_or_id(target, clients, home):
    client = clients(target)
    for name in (home.name, home.name.upper(), "userid:" + home.uid):
        assert client.authenticate(name).user.id.opaque_id == home.uid


def test_a_wrong_key_and_an_unknown_user_are_told_apart(target, clients, home):
    client = clients(target)
    assert client.authenticate(home.name, "wrong").status.code == DENIED
    assert client.authenticate("nobody-at-all").status.code == NOT_FOUND
    assert client.authenticate(home.name, kind="nonsense").status.code == INTERNAL


def test_a_disabled_user_is_not_found(target, clients, home):
    client = clients(target)
    assert client.graph("PATCH", "/users/" + home.uid,
                        {"accountEnabled": False}).status_code == 200
    assert client.authenticate(home.name).status.code == NOT_FOUND
    assert home.stat().status.code == OK  # his tokens live on


def test_a_bad_token_is_permission_denied_and_none_unauthenticated_at_the_provider(home):
    home.become("bad")
    assert grpc_code(home.stat) == "PERMISSION_DENIED"
    home.meta = ()
    assert grpc_code(home.stat) == "UNAUTHENTICATED"


def test_the_gateway_calls_a_bad_token_not_found(home):
    home.become("bad")
    assert home.stat(at="gateway").status.code == NOT_FOUND


def made_again(home):
    return home.call("CreateHome", api.CreateHomeRequest(), "gateway").status.code


def test_a_home_is_made_once_and_has_the_users_id(home):
    """The gateway's answer is the one of before for a while; then it is that there is one."""
    wait_until(lambda: made_again(home) == EXISTS, 30, "the gateway to forget")
    time.sleep(2 * HOMES_S)
    assert made_again(home) == EXISTS
    info = home.info()
    assert (info.id.space_id, info.id.opaque_id, info.path) == (home.uid, home.uid, ".")
    assert info.owner.opaque_id == home.uid and info.parent_id.opaque_id == ""


def test_a_home_cannot_be_made_at_the_provider(home):
    assert grpc_code(lambda: home.call("CreateHome", api.CreateHomeRequest())) == "UNKNOWN"


def test_the_service_account_lists_every_space_and_a_user_his_own(target, clients, people):
    one, two = people(), people()
    client = clients(target)
    mine = client.spaces.ListStorageSpaces(personal(), metadata=one.meta).storage_spaces
    assert [s.root.space_id for s in mine] == [one.uid]
    token = client.authenticate(target.service[0], target.service[1], "serviceaccounts").token
    service = Session(client, "service", one.user, token)
    every = client.spaces.ListStorageSpaces(personal(), metadata=service.meta).storage_spaces
    assert {one.uid, two.uid} <= {s.owner.id.opaque_id for s in every}


def test_the_admin_needs_a_word_to_list_the_spaces_of_others(target, clients, home):
    client = clients(target)
    admin = (("x-access-token", client.authenticate("admin").token),)
    plain = client.spaces.ListStorageSpaces(personal(), metadata=admin).storage_spaces
    assert home.uid not in [s.root.space_id for s in plain]
    free = client.spaces.ListStorageSpaces(personal(opaque=opaque({"unrestricted": "T"})),
                                           metadata=admin).storage_spaces
    assert home.uid in [s.root.space_id for s in free]


def test_the_service_account_makes_no_home_and_cannot_move(target, clients, home):
    client = clients(target)
    token = client.authenticate(target.service[0], target.service[1], "serviceaccounts").token
    service = Session(client, "service", home.user, token)
    node = home.file("a")
    assert service.stat(node).status.code == OK
    assert service.move(node, None, "b").status.code == DENIED
    assert service.versions(node).status.code == DENIED
