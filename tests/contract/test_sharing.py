"""Grants, shares, links."""
import time

import cs3.identity.group.v1beta1.group_api_pb2 as group_api
import cs3.identity.group.v1beta1.resources_pb2 as groups
import cs3.identity.user.v1beta1.resources_pb2 as users
import cs3.identity.user.v1beta1.user_api_pb2 as user_api
import cs3.sharing.collaboration.v1beta1.collaboration_api_pb2 as shares_api
import cs3.sharing.collaboration.v1beta1.resources_pb2 as shares
import cs3.sharing.link.v1beta1.link_api_pb2 as links_api
import cs3.sharing.link.v1beta1.resources_pb2 as links
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.resources_pb2 as resources
from client import DENIED, EDITOR, EXISTS, FILE_EDITOR, INTERNAL, INVALID, NOT_FOUND, OK, \
    RESHARER, UNKNOWN_ID, VIEWER, grpc_code, text_in
import pytest

PENDING, ACCEPTED = shares.SHARE_STATE_PENDING, shares.SHARE_STATE_ACCEPTED
Update = links_api.UpdatePublicShareRequest.Update


@pytest.fixture
def three(people):
    return people(), people(), people()


def one_of(shares_, sid):
    return [s for s in shares_ if s.share.id.opaque_id == sid][0]


# ---- grants
def test_a_grant_is_added_once_changed_and_removed(three):
    owner, other, _ = three
    node = owner.folder("A")
    assert owner.add_grant(node, other, VIEWER).status.code == OK
    assert owner.add_grant(node, other, EDITOR).status.code == EXISTS
    changed = owner.call("UpdateGrant", api.UpdateGrantRequest(
        ref=owner.ref(node), grant=owner.grant(other, EDITOR)))
    assert changed.status.code == OK
    assert [g.permissions.delete for g in owner.grants(node)] == [True]
    remove = api.RemoveGrantRequest(ref=owner.ref(node), grant=owner.grant(other, {}))
    assert owner.call("RemoveGrant", remove).status.code == OK
    assert owner.call("RemoveGrant", remove).status.code == NOT_FOUND


def test_of_grantee_and_creator_a_grant_keeps_the_bare_ids(three):
    owner, other, _ = three
    node = owner.folder("A")
    owner.add_grant(node, other, VIEWER)
    grant = owner.grants(node)[0]
    assert grant.grantee.user_id.opaque_id == other.uid
    assert (grant.grantee.user_id.idp, grant.creator.opaque_id) == ("", "")


def test_grants_of_nothing_and_by_a_viewer(three):
    owner, other, third = three
    node = owner.folder("A")
    assert owner.add_grant(UNKNOWN_ID, other, VIEWER).status.code == NOT_FOUND
    owner.add_grant(node, other, VIEWER)
    request = api.AddGrantRequest(ref=owner.ref(node), grant=owner.grant(third, VIEWER))
    assert other.call("AddGrant", request).status.code == DENIED


def test_a_list_tells_of_each_node_whether_it_has_grants_of_its_own(three):
    owner, other, _ = three
    node, beside = owner.folder("A"), owner.folder("B")
    below = owner.folder("C", node)
    owner.share(node, other, VIEWER)

    def kinds(parent):
        return {i.id.opaque_id: text_in(i, "share-types") for i in owner.list(parent).infos}
    assert kinds(None) == {node: "1", beside: None} and kinds(node) == {below: None}
    owner.remove_share(owner.my_shares()[0].id.opaque_id, at="sharing")
    assert owner.my_shares()[:] == [] and kinds(None)[node] == "1"


# ---- shares
def test_the_shares_of_several_nodes_come_with_one_call(three):
    owner, other, third = three
    nodes = [owner.folder(name) for name in "ABC"]
    owner.share(nodes[0], other, VIEWER)
    owner.share(nodes[0], third, VIEWER)
    owner.share(nodes[2], other, VIEWER)

    def on(which):
        request = shares_api.ListSharesRequest(filters=[
            shares.Filter(type=shares.Filter.TYPE_RESOURCE_ID, resource_id=owner.rid(n)) for n in which])
        return sorted((nodes.index(s.resource_id.opaque_id), s.grantee.user_id.opaque_id)
                      for s in owner.call("ListShares", request, "gateway").shares)
    assert on(nodes) == sorted([(0, other.uid), (0, third.uid), (2, other.uid)])
    assert on(nodes[1:]) == [(2, other.uid)]


def test_a_grantee_is_known_by_his_id(three):
    owner, other, _ = three
    user = owner.call("GetUser", user_api.GetUserRequest(user_id=users.UserId(opaque_id=other.uid)), "gateway")
    assert (user.status.code, user.user.username) == (OK, other.name)
    nobody = owner.call("GetUser", user_api.GetUserRequest(user_id=users.UserId(opaque_id=UNKNOWN_ID)), "gateway")
    assert nobody.status.code == NOT_FOUND
    nobody = owner.call("GetGroup", group_api.GetGroupRequest(group_id=groups.GroupId(opaque_id=UNKNOWN_ID)), "gateway")
    assert nobody.status.code == NOT_FOUND


def test_a_share_has_an_id_of_storage_space_and_more_and_brings_the_grant(three):
    owner, other, _ = three
    node = owner.folder("A")
    made = owner.share(node, other, VIEWER)
    assert made.status.code == OK
    storage, space, _ = made.share.id.opaque_id.split(":")
    assert (storage, space) == (owner.client.target.storage_id, owner.uid)
    assert (made.share.owner.opaque_id, made.share.creator.opaque_id) == (owner.uid, owner.uid)
    assert [g.creator.opaque_id for g in owner.grants(node)] == [owner.uid]
    assert [s.state for s in other.received()] == [PENDING]
    assert [s.id for s in owner.my_shares()] == [made.share.id]


def test_the_same_share_again_exists_already(three):
    owner, other, _ = three
    node = owner.folder("A")
    owner.share(node, other, VIEWER)
    assert owner.share(node, other, EDITOR).status.code == EXISTS
    assert len(owner.my_shares()) == 1


def test_a_left_over_grant_makes_sharing_fail_once(three):
    owner, other, _ = three
    node = owner.folder("A")
    owner.add_grant(node, other, VIEWER)
    assert owner.share(node, other, VIEWER).status.code == EXISTS
    assert len(owner.grants(node)) == 0  # the clean-up took it
    assert owner.share(node, other, VIEWER).status.code == OK


def test_what_sharing_refuses(three):
    owner, other, _ = three
    node, file = owner.folder("A"), owner.file("f")
    assert owner.share(node, owner, VIEWER).status.code == INVALID
    assert owner.share(node, other, RESHARER).status.code == INVALID
    assert owner.share(file, other, EDITOR).status.code == INVALID
    assert owner.share(None, other, VIEWER).status.code == INVALID
    assert owner.share(file, other, FILE_EDITOR).status.code == OK


def test_sharing_something_unknown_is_a_crash_of_the_handler(three):
    owner, other, _ = three
    assert grpc_code(lambda: owner.share(UNKNOWN_ID, other, VIEWER)) == "INTERNAL"


def test_the_grantee_is_not_checked_to_exist(people):
    owner = people()
    node = owner.folder("A")
    assert owner.share(node, UNKNOWN_ID, VIEWER).status.code == OK


def test_a_recipient_does_not_share_on(three):
    owner, other, third = three
    node = owner.folder("A")
    owner.share(node, other, EDITOR)
    assert other.share(node, third, VIEWER, space=owner.uid).status.code == DENIED


def test_a_grant_to_share_given_by_hand_lets_one_share_within_his_own_permissions(three):
    owner, other, third = three
    node = owner.folder("A")
    owner.add_grant(node, other, RESHARER)
    assert other.share(node, third, EDITOR, space=owner.uid).status.code == DENIED
    made = other.share(node, third, VIEWER, space=owner.uid)
    assert made.status.code == OK
    assert (made.share.creator.opaque_id, made.share.owner.opaque_id) == (other.uid, owner.uid)


def test_a_share_to_a_group_reaches_its_members(target, clients, three):
    owner, other, third = three
    client = clients(target)
    gid = client.graph("POST", "/groups", {"displayName": "g-" + owner.name}).json()["id"]
    assert client.graph("POST", "/groups/%s/members/$ref" % gid, {
        "@odata.id": "https://x/graph/v1.0/users/" + other.uid}).status_code == 204
    node = owner.folder("A")
    assert owner.share(node, gid, EDITOR).status.code == OK
    assert len(other.received()) == 0  # his token is older than the membership
    other.become(client.authenticate(other.name).token)
    assert len(other.received()) == 1 and len(third.received()) == 0
    assert other.mkdir("x", node, owner.uid).status.code == OK


def test_update_changes_share_and_grant(three):
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER).share.id.opaque_id
    assert owner.update_share(sid, EDITOR, 4000000000).status.code == OK
    share, grant = owner.get_share(sid).share, owner.grants(node)[0]
    assert share.permissions.permissions.delete and share.expiration.seconds == 4000000000
    assert grant.permissions.delete and grant.expiration.seconds == 4000000000
    assert owner.update_share(sid, expires=0).status.code == OK
    assert not owner.get_share(sid).share.HasField("expiration")


def test_what_update_and_remove_answer_to_the_wrong(three):
    owner, other, third = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER).share.id.opaque_id
    unknown = sid.rsplit(":", 1)[0] + ":" + UNKNOWN_ID
    assert owner.update_share(sid, RESHARER).status.code == INVALID
    assert owner.update_share(sid, paths=["foo"]).status.code == INTERNAL
    assert owner.update_share(unknown, VIEWER).status.code == INTERNAL
    assert other.update_share(sid, EDITOR).status.code == DENIED
    assert third.update_share(sid, EDITOR).status.code == INTERNAL
    assert owner.get_share(unknown).status.code == NOT_FOUND
    assert third.get_share(sid).status.code == NOT_FOUND
    assert other.get_share(sid).status.code == OK
    assert third.remove_share(sid).status.code == INTERNAL
    assert other.remove_share(sid).status.code == DENIED
    assert owner.remove_share(unknown).status.code == INTERNAL
    assert owner.remove_share(sid).status.code == OK
    assert owner.remove_share(sid).status.code == INTERNAL
    assert len(owner.grants(node)) == 0 and len(other.received()) == 0


def test_an_expiry_in_the_past_is_accepted_and_the_share_is_gone(three):
    owner, other, _ = three
    node = owner.folder("A")
    assert owner.share(node, other, VIEWER, expires=1000).status.code == OK
    assert len(owner.my_shares()) == 0 and len(other.received()) == 0
    assert other.stat(node, space=owner.uid).status.code == NOT_FOUND
    assert owner.share(node, other, VIEWER).status.code == OK


def test_a_share_of_a_deleted_node_stays_and_cannot_be_changed(three):
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER).share.id.opaque_id
    owner.delete(node)
    assert owner.get_share(sid).status.code == OK and len(other.received()) == 1
    assert owner.update_share(sid, EDITOR).status.code == INTERNAL
    assert owner.remove_share(sid).status.code == INTERNAL
    owner.restore(node)
    assert other.stat(node, space=owner.uid).status.code == OK
    assert owner.remove_share(sid).status.code == OK


def test_a_share_without_its_grant_stays_so_until_somebody_adds_it(three):
    """What CreateShare leaves when its caller is gone before the grant is written (the sharing service
    writes its files all the same): here made by asking that service alone."""
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER, at="sharing").share.id.opaque_id
    assert [s.id.opaque_id for s in owner.my_shares()] == [sid] and len(owner.grants(node)) == 0
    assert one_of(other.received(), sid).state == PENDING
    for _ in range(2):
        assert owner.share(node, other, VIEWER).status.code == EXISTS
        answer = owner.update_share(sid, VIEWER).status
        assert (answer.code, answer.message) == (
            INTERNAL, "error committing share to storage grant")
        assert other.update_received(sid, ACCEPTED).status.code == NOT_FOUND
    assert len(owner.grants(node)) == 0
    assert owner.add_grant(node, other, VIEWER).status.code == OK
    assert owner.update_share(sid, EDITOR).status.code == OK
    assert other.update_received(sid, ACCEPTED).status.code == OK
    assert [g.permissions.delete for g in owner.grants(node)] == [True]


def test_a_share_without_its_grant_is_removed_though_the_answer_is_not_found(three):
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER, at="sharing").share.id.opaque_id
    assert owner.remove_share(sid).status.code == NOT_FOUND
    assert len(owner.my_shares()) == len(other.received()) == 0
    assert owner.share(node, other, VIEWER).status.code == OK


def test_a_share_removed_without_its_grant_leaves_the_node_open(three):
    """What RemoveShare leaves when its caller is gone before the grant is taken away."""
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER).share.id.opaque_id
    assert owner.remove_share(sid, at="sharing").status.code == OK
    assert len(owner.my_shares()) == len(other.received()) == 0
    assert owner.remove_share(sid).status.code == INTERNAL
    assert other.stat(node, space=owner.uid).status.code == OK
    remove = api.RemoveGrantRequest(ref=owner.ref(node), grant=owner.grant(other, {}))
    assert owner.call("RemoveGrant", remove).status.code == OK
    assert other.stat(node, space=owner.uid).status.code == NOT_FOUND


# ---- received
def test_accepting_finds_a_free_name(three):
    owner, second, other = three
    sids = []
    for who in (owner, second):
        sids.append(who.share(who.folder("Same"), other, VIEWER).share.id.opaque_id)
        answer = other.update_received(sids[-1], ACCEPTED)
        assert answer.status.code == OK
    mounts = [one_of(other.received(), s).mount_point.path for s in sids]
    assert mounts == ["Same", "Same (1)"]


def test_state_and_mount_point_are_set_unchecked(three):
    owner, other, third = three
    sid = owner.share(owner.folder("A"), other, VIEWER).share.id.opaque_id
    for mount in ("a/b", "/abs", "x" * 300):
        assert other.update_received(sid, ACCEPTED, mount).status.code == OK
        assert one_of(other.received(), sid).mount_point.path == mount
    assert other.update_received(sid, shares.SHARE_STATE_REJECTED).status.code == OK
    assert one_of(other.received(), sid).state == shares.SHARE_STATE_REJECTED
    assert third.update_received(sid, ACCEPTED).status.code == NOT_FOUND
    assert other.update_received("", ACCEPTED).status.code == INVALID
    assert other.update_received(sid, paths=["foo"]).status.code == INTERNAL


def test_removing_and_sharing_again_makes_a_new_pending_share(three):
    owner, other, _ = three
    node = owner.folder("A")
    sid = owner.share(node, other, VIEWER).share.id.opaque_id
    other.update_received(sid, ACCEPTED)
    owner.remove_share(sid)
    again = owner.share(node, other, VIEWER).share.id.opaque_id
    assert again != sid and one_of(other.received(), again).state == PENDING


# ---- links
def test_a_link_gets_id_token_and_name_from_the_server(people):
    owner = people()
    node = owner.folder("A")
    link = owner.link(node, VIEWER).share
    assert len(link.token) == len(link.id.opaque_id) == 15
    assert link.display_name == link.token and not link.password_protected
    assert owner.link(node, VIEWER, name="mine").share.display_name == "mine"
    assert len(owner.my_links()) == 2
    assert owner.link_by_token(link.token).share.id == link.id


def test_a_link_opens_with_its_password_only(people):
    owner = people()
    token = owner.link(owner.folder("A"), VIEWER, "Secret1!", 4000000000).share.token
    assert owner.link_by_token(token).status.code == DENIED
    assert owner.link_by_token(token, "wrong").status.code == DENIED
    assert owner.link_by_token(token, "Secret1!").status.code == OK
    assert owner.link_by_token("no-such-token").status.code == NOT_FOUND


def test_what_making_a_link_refuses(three):
    owner, other, _ = three
    node, file = owner.folder("A"), owner.file("f")
    assert owner.link(node, VIEWER, expires=1000).status.code == INVALID
    assert owner.link(node, VIEWER, password="x" * 73).status.code == INTERNAL
    assert owner.link(None, VIEWER).status.code == INVALID
    assert owner.link(file, EDITOR).status.code == OK
    assert owner.link(node, {"create_container": True, "initiate_file_upload": True}) \
        .status.code == OK
    assert owner.link(node, {}).status.code == OK


def test_a_link_needs_the_whole_answer_of_stat(people):
    owner = people()
    info = resources.ResourceInfo(id=owner.rid(owner.folder("A")))
    grant = links.Grant()
    grant.permissions.permissions.CopyFrom(resources.ResourcePermissions(**VIEWER))
    request = links_api.CreatePublicShareRequest(resource_info=info, grant=grant)
    assert grpc_code(lambda: owner.call("CreatePublicShare", request, "gateway")) == "INTERNAL"


def test_each_part_of_a_link_is_changed_alone(people):
    owner = people()
    link = owner.link(owner.folder("A"), VIEWER).share
    lid = link.id.opaque_id
    grant = links.Grant(password="Abc1234!")
    assert owner.update_link(lid, type=Update.TYPE_PASSWORD, grant=grant).share.password_protected
    assert owner.link_by_token(link.token, "Abc1234!").status.code == OK
    off = owner.update_link(lid, type=Update.TYPE_PASSWORD, grant=links.Grant())
    assert not off.share.password_protected
    grant = links.Grant()
    grant.expiration.seconds = 4000000000
    timed = owner.update_link(lid, type=Update.TYPE_EXPIRATION, grant=grant)
    assert timed.share.expiration.seconds == 4000000000
    grant.expiration.seconds = 5
    assert owner.update_link(lid, type=Update.TYPE_EXPIRATION, grant=grant).status.code == INVALID
    never = owner.update_link(lid, type=Update.TYPE_EXPIRATION, grant=links.Grant())
    assert not never.share.HasField("expiration")
    named = owner.update_link(lid, type=Update.TYPE_DISPLAYNAME, display_name="nn")
    assert named.share.display_name == "nn" and named.share.token == link.token
    grant = links.Grant()
    grant.permissions.permissions.CopyFrom(resources.ResourcePermissions(**EDITOR))
    more = owner.update_link(lid, type=Update.TYPE_PERMISSIONS, grant=grant)
    assert more.share.permissions.permissions.delete
    assert owner.update_link(lid).status.code == INTERNAL


def test_an_unknown_link_is_grpc_unknown_to_change_and_remove(people):
    owner = people()
    assert grpc_code(lambda: owner.update_link("x", type=4, display_name="n")) == "UNKNOWN"
    assert grpc_code(lambda: owner.remove_link("x")) == "UNKNOWN"
    request = links_api.GetPublicShareRequest(ref=owner.link_ref("x"))
    assert owner.call("GetPublicShare", request, "gateway").status.code == NOT_FOUND


def test_a_link_to_a_deleted_node_can_only_be_removed(people):
    owner = people()
    node = owner.folder("A")
    lid = owner.link(node, VIEWER).share.id.opaque_id
    owner.delete(node)
    assert owner.update_link(lid, type=4, display_name="n").status.code == NOT_FOUND
    assert owner.remove_link(lid).status.code == OK
    assert grpc_code(lambda: owner.remove_link(lid)) == "UNKNOWN"


def test_links_of_others_are_not_listed(people):
    owner, other = people(), people()
    owner.link(owner.folder("A"), VIEWER)
    assert len(other.my_links()) == 0


def test_a_link_that_has_expired_is_unknown(people):
    owner = people()
    node, now = owner.folder("A"), int(time.time())
    later = owner.link(node, VIEWER, expires=now + 3600).share
    token = owner.link(node, VIEWER, expires=now + 2).share.token
    assert owner.link_by_token(later.token).status.code == OK
    time.sleep(max(0, now + 3 - time.time()))
    assert owner.link_by_token(token).status.code == NOT_FOUND
    assert [link.id.opaque_id for link in owner.my_links()] == [later.id.opaque_id]
