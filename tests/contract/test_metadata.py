"""The share managers' files on the system storage: read, written by compare and swap."""
import json

import cs3.gateway.v1beta1.gateway_api_pb2 as gateway_api
import cs3.gateway.v1beta1.gateway_api_pb2_grpc as gateway_grpc
import cs3.storage.provider.v1beta1.provider_api_pb2 as api
import cs3.storage.provider.v1beta1.provider_api_pb2_grpc as provider_grpc
import cs3.storage.provider.v1beta1.resources_pb2 as resources
import grpc
import pytest
import requests
from client import OK, PRECONDITION, UNKNOWN_ID, VIEWER, opaque

SHARES, LINKS = "jsoncs3-share-manager-metadata", "jsoncs3-public-share-manager-metadata"


class System:
    """The system user at the system storage."""

    def __init__(self, target):
        channel = grpc.insecure_channel(target.system)
        self.provider = provider_grpc.ProviderAPIStub(channel)
        uid, key = target.system_user
        signed = gateway_grpc.GatewayAPIStub(channel).Authenticate(
            gateway_api.AuthenticateRequest(type="machine", client_id="userid:" + uid,
                                            client_secret=key))
        assert signed.status.code == OK, signed.status
        self.token, self.meta = signed.token, (("x-access-token", signed.token),)

    def ref(self, space, path):
        rid = resources.ResourceId(space_id=space, opaque_id=space)
        return resources.Reference(resource_id=rid, path="./" + path)

    def stat(self, space, path):
        return self.provider.Stat(api.StatRequest(ref=self.ref(space, path)), metadata=self.meta)

    def read(self, space, path):
        """A GET can fail for no reason: try again, never take it for an empty file."""
        answer = self.provider.InitiateFileDownload(
            api.InitiateFileDownloadRequest(ref=self.ref(space, path)), metadata=self.meta)
        for _ in range(5):
            got = requests.get(answer.protocols[0].download_endpoint,
                               headers={"x-access-token": self.token})
            if got.status_code != 500:
                break
        assert got.status_code == 200
        return got.json()

    def write(self, space, path, value, etag=""):
        """(CS3 code of the first step, HTTP status of the second)"""
        data = json.dumps(value).encode()
        answer = self.provider.InitiateFileUpload(api.InitiateFileUploadRequest(
            ref=self.ref(space, path), if_match=etag,
            opaque=opaque({"Upload-Length": len(data)})), metadata=self.meta)
        if answer.status.code != OK:
            return answer.status.code, None
        url = next(p.upload_endpoint for p in answer.protocols if p.protocol == "simple")
        return OK, requests.put(url, data=data,
                                headers={"x-access-token": self.token}).status_code


@pytest.fixture
def system(target):
    return System(target)


def test_the_system_storage_knows_only_the_system_user(target, home):
    stub = gateway_grpc.GatewayAPIStub(grpc.insecure_channel(target.system))
    answer = stub.Authenticate(gateway_api.AuthenticateRequest(
        type="machine", client_id="userid:" + target.system_user[0], client_secret="wrong"))
    assert answer.status.code != OK


def test_a_share_stands_in_three_files(target, system, people):
    owner, other = people(), people()
    share = owner.share(owner.folder("A"), other, VIEWER).share
    sid, ssid = share.id.opaque_id, "%s:%s" % (target.storage_id, owner.uid)
    stored = system.read(SHARES, "storages/%s/%s.json" % (target.storage_id, owner.uid))
    entry = stored["Shares"][sid]
    assert entry["grantee"]["Id"]["UserId"]["opaque_id"] == other.uid
    assert entry["permissions"]["permissions"]["stat"] is True
    assert entry["ctime"]["seconds"] == share.ctime.seconds
    created = system.read(SHARES, "users/%s/created.json" % owner.uid)
    assert list(created["UserShares"][ssid]["IDs"]) == [sid]
    received = system.read(SHARES, "users/%s/received.json" % other.uid)
    assert received["Spaces"][ssid]["States"][sid]["State"] == 1


def test_all_links_stand_in_one_file_with_their_hashes(system, people):
    owner = people()
    link = owner.link(owner.folder("A"), VIEWER, "Secret1!").share
    entry = system.read(LINKS, "publicshares.json")[link.id.opaque_id]
    assert entry["password"].startswith("$2a$")
    assert json.loads(entry["share"])["token"] == link.token


def test_a_change_by_another_writer_is_seen_without_a_restart(system, people):
    owner = people()
    link = owner.link(owner.folder("A"), VIEWER).share
    for _ in range(20):
        etag = system.stat(LINKS, "publicshares.json").info.etag
        value = system.read(LINKS, "publicshares.json")
        entry = value[link.id.opaque_id]
        entry["share"] = entry["share"].replace(link.token, "ChosenToken" + link.token[:4])
        if system.write(LINKS, "publicshares.json", value, etag) == (OK, 200):
            break
    assert owner.link_by_token("ChosenToken" + link.token[:4]).status.code == OK


def test_an_etag_that_is_not_the_latest_is_refused(system, people):
    owner = people()
    owner.link(owner.folder("A"), VIEWER)
    etag = system.stat(LINKS, "publicshares.json").info.etag
    value = system.read(LINKS, "publicshares.json")
    owner.link(owner.folder("B"), VIEWER)
    assert system.write(LINKS, "publicshares.json", value, etag) == (PRECONDITION, None)


def test_a_new_file_needs_its_folder_first(system):
    refused = system.write(SHARES, "users/%s/received.json" % UNKNOWN_ID, {})
    assert refused == (PRECONDITION, None)
