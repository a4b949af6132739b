"""Users and groups by Graph."""
import uuid
from urllib.parse import quote

import pytest


@pytest.fixture
def graph(target, clients):
    return clients(target).graph


@pytest.fixture
def name():
    return "g" + uuid.uuid4().hex[:8]


def user(name, **more):
    return {"onPremisesSamAccountName": name, "displayName": "Some One",
            "passwordProfile": {"password": "x"}, **more}


def code(answer):
    return answer.json()["error"]["code"]


def test_a_user_is_made_once_whatever_the_case(graph, name):
    made = graph("POST", "/users", user(name, mail=name + "@example.org"))
    assert made.status_code == 201 and made.json()["onPremisesSamAccountName"] == name
    assert made.json()["mail"] == name + "@example.org"
    again = graph("POST", "/users", user(name.upper()))
    assert (again.status_code, code(again)) == (409, "nameAlreadyExists")
    for key in (made.json()["id"], name, name.upper()):
        found = graph("GET", "/users/" + key)
        assert found.json()["id"] == made.json()["id"] and "mail" not in found.json()


@pytest.mark.parametrize("mail", ["", "foo@", "jürgen@exämple.org"])
def test_a_mail_that_is_empty_or_odd_is_refused(graph, name, mail):
    assert graph("POST", "/users", user(name, mail=mail)).status_code == 400


def test_a_mail_may_be_missing_or_shared_but_not_taken_away(graph, name):
    assert graph("POST", "/users", user(name)).status_code == 201
    for n in "ab":
        made = graph("POST", "/users", user(name + n, mail=name + "@example.org"))
        assert made.status_code == 201
    assert graph("PATCH", "/users/" + made.json()["id"], {"mail": ""}).status_code == 400


@pytest.mark.parametrize("body", [
    {"displayName": "x"}, {"onPremisesSamAccountName": "x"},
    {"onPremisesSamAccountName": "x", "displayName": ""},
    {"onPremisesSamAccountName": "x", "displayName": "x",
     "id": "11111111-2222-4333-8444-555555555555"}])
def test_what_a_new_user_needs_and_may_not_have(graph, body):
    answer = graph("POST", "/users", body)
    assert (answer.status_code, code(answer)) == (400, "invalidRequest")


@pytest.mark.parametrize("odd", ["12345", "z.o-n_e+i @x'y", " lead", "trail ", "a/b", "a,b=c",
                                 "a*(b)", "日本", "x" * 200])
def test_any_name_is_kept_and_can_sign_in(graph, target, clients, name, odd):
    full = odd + name
    made = graph("POST", "/users", user(full))
    assert made.status_code == 201 and made.json()["onPremisesSamAccountName"] == full
    assert graph("GET", "/users/" + quote(full, "")).json()["id"] == made.json()["id"]
    assert clients(target).authenticate(full).user.id.opaque_id == made.json()["id"]


def test_what_is_unknown_is_404(graph):
    for path in ("/users/nobody", "/groups/nothing"):
        answer = graph("GET", path)
        assert (answer.status_code, code(answer)) == (404, "itemNotFound")


def test_a_filter_on_the_name_is_not_implemented(graph):
    path = "/users?$filter=onPremisesSamAccountName eq 'x'"
    assert graph("GET", path).status_code == 501


def test_a_user_is_changed_by_patch(graph, name):
    uid = graph("POST", "/users", user(name)).json()["id"]
    changed = graph("PATCH", "/users/" + uid, {"accountEnabled": False, "displayName": "New"})
    assert changed.status_code == 200 and changed.json()["accountEnabled"] is False
    assert graph("GET", "/users/" + uid).json()["displayName"] == "New"
    assert graph("DELETE", "/users/" + uid).status_code == 204
    assert graph("DELETE", "/users/" + uid).status_code == 404


def test_a_group_is_made_once_with_any_name(graph, name):
    full = "R&D/50%" + name
    made = graph("POST", "/groups", {"displayName": full})
    assert made.status_code == 201 and made.json()["displayName"] == full
    again = graph("POST", "/groups", {"displayName": full.upper()})
    assert (again.status_code, code(again)) == (409, "nameAlreadyExists")
    for key in (full, full.upper()):
        assert graph("GET", "/groups/" + quote(key, "")).json()["id"] == made.json()["id"]
    assert graph("POST", "/groups", {"displayName": ""}).status_code == 400


def test_members_are_a_bare_list_and_joining_twice_is_fine(graph, name):
    uid = graph("POST", "/users", user(name)).json()["id"]
    gid = graph("POST", "/groups", {"displayName": name}).json()["id"]
    link = {"@odata.id": "https://x/graph/v1.0/users/" + uid}
    for _ in range(2):
        assert graph("POST", "/groups/%s/members/$ref" % gid, link).status_code == 204
    assert [m["id"] for m in graph("GET", "/groups/%s/members" % gid).json()] == [uid]
    one = "/groups/%s/members/%s/$ref" % (gid, uid)
    assert graph("DELETE", one).status_code == 204
    assert graph("DELETE", one).status_code == 404
    assert graph("DELETE", "/groups/" + gid).status_code == 204
    assert graph("DELETE", "/groups/" + gid).status_code == 404
