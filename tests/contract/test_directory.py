"""Our own writer with users and groups of a directory, which Graph may only read: found by the directory's id, acted for
by it, never made; who has never signed in has no role at the target, and without one no home.

Only against the simulator: the real oCIS of these tests has no directory of its own.
"""
import itertools

import pytest
from conftest import start
from probe import Probe

ROLES = "graph.GET /users/{id}/appRoleAssignments"
GIVE = "graph.POST /users/{id}/appRoleAssignments"
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    """One of its own: from the first of them on its users are a directory's."""
    sim = start("simulator", tmp_path_factory.mktemp("directory"))
    yield sim
    sim.stop()


@pytest.fixture
def probe(sim, tmp_path):
    probe = Probe(sim, tmp_path, people__mode="match", people__match_by="ldap-uuid")
    probe("open")
    yield probe
    sim.ask("/faults", "DELETE")
    probe.stop()


@pytest.fixture
def person(sim, probe):
    """(name at the source, id), matched; he has never signed in at the target."""
    n = next(_numbers)
    uid, ident = "74F2EC24-%04X" % n, "74f2ec24-7b02-1041-9d50-%012x" % n
    sim.ask("/directory", "POST", {"users": [{"name": "p%d" % n, "id": ident}]})
    assert probe("user_ensure", uid=uid, directory_uuid=ident.upper())["id"] == ident
    probe("user_match", uid=uid, id=ident)
    sim.ask("/counters/reset", "POST")
    return uid, ident


def writing(sim):
    return sim.ask("/counters")["writing_calls"]


def roles_given(sim):
    return writing(sim).get(GIVE, 0)


def test_who_never_signed_in_is_given_a_role_once_and_has_a_home_then(sim, probe, person):
    probe("space_ensure", uid=person[0])
    assert roles_given(sim) == 1
    probe("space_ensure", uid=person[0])
    assert roles_given(sim) == 1


@pytest.mark.parametrize("rule, cause", [
    ({"call": ROLES, "nth": 1, "effect": "http", "http": 500}, "internal"),
    ({"call": "graph.GET /applications", "nth": 1, "effect": "http", "http": 500}, "internal"),
    ({"call": GIVE, "nth": 1, "effect": "http", "http": 403}, "no-role"),
    ({"call": "gateway.CreateHome", "nth": 2, "effect": "grpc", "status": "UNAVAILABLE"},
     "target-down"),
])
def test_a_role_that_was_not_given_is_trouble_that_passes(sim, probe, person, rule, cause):
    sim.ask("/faults", "POST", rule)
    refused = probe.fails("space_ensure", uid=person[0])
    assert (refused.kind, refused.cause) == ("retry", cause)
    probe("space_ensure", uid=person[0])
    assert roles_given(sim) in (1, 2)


def test_a_role_of_which_only_the_answer_was_lost_is_there(sim, probe, person):
    sim.ask("/faults", "POST", {"call": GIVE, "nth": 1, "effect": "drop-after"})
    probe.raw("space_ensure", uid=person[0])  # it may be asked again at once
    probe("space_ensure", uid=person[0])
    assert [f["hits"] for f in sim.ask("/faults")["faults"]] == [1]


def test_who_has_a_role_and_is_refused_all_the_same_is_given_no_other(sim, probe, person):
    probe("space_ensure", uid=person[0])
    sim.ask("/counters/reset", "POST")
    sim.ask("/faults", "POST", {"call": "gateway.CreateHome", "times": 2, "effect": "code", "code": 8})
    refused = probe.fails("space_ensure", uid=person[0])
    assert (refused.kind, refused.cause) == ("retry", "no-role")
    assert roles_given(sim) == 0
    probe("space_ensure", uid=person[0])


def test_whom_the_directory_does_not_have_is_waited_for_and_never_made(sim, probe):
    refused = probe.fails("user_ensure", uid="X", directory_uuid="99999999-0000-0000-0000-000000000000")
    assert (refused.kind, refused.cause) == ("retry", "grantee-missing")


def test_of_whom_nothing_is_known_nobody_acts_whoever_has_his_name_there(sim, probe, person):
    name = "p%d" % int(person[1][-12:], 16)
    assert probe.fails("space_ensure", uid=name).kind == "retry"
    probe("user_match", uid=name, id="")
    assert probe.fails("space_ensure", uid=name).kind == "retry"
    probe("user_match", uid=name)  # by his name, from now on
    assert writing(sim) == {}


@pytest.fixture
def group(sim, person):
    """(name at the source, id): called otherwise at the target, where another group has that name; with `person` in it."""
    n = next(_numbers)
    name, ident = "R&D/%d" % n, "5f1c2a66-7b02-1041-9d50-%012x" % n
    other = "00000000-7b02-1041-9d50-%012x" % n
    sim.ask("/directory", "POST", {"groups": [{"name": "research%d" % n, "id": ident, "members": [person[1]]},
                                              {"name": name, "id": other, "members": []}]})
    return name, ident


def test_a_group_is_found_by_the_directorys_id_in_any_case_and_nothing_of_it_is_written(sim, probe, group):
    name, ident = group
    assert probe("group_ensure", gid=name, directory_uuid=ident.upper())["id"] == ident
    assert probe("group_ensure", gid="", directory_uuid=ident)["id"] == ident  # its name is not asked about
    assert writing(sim) == {}


def test_a_group_that_the_directory_does_not_have_is_waited_for_and_never_made(sim, probe, group):
    refused = probe.fails("group_ensure", gid=group[0], directory_uuid="99999999-0000-0000-0000-000000000000")
    assert (refused.kind, refused.cause) == ("retry", "grantee-missing")
    # one that is called as the id is not it
    sim.ask("/directory", "POST", {"groups": [{"name": "88888888-0000-0000-0000-000000000000", "members": [],
                                               "id": "77777777-0000-0000-0000-%s" % group[1][-12:]}]})
    refused = probe.fails("group_ensure", gid=group[0], directory_uuid="88888888-0000-0000-0000-000000000000")
    assert (refused.kind, refused.cause) == ("retry", "grantee-missing")
    assert writing(sim) == {}


def test_who_asks_while_graph_is_away_asks_again(sim, probe, group):
    sim.ask("/faults", "POST", {"call": "graph.GET /groups/{id}", "nth": 1, "effect": "http", "http": 500})
    assert probe.fails("group_ensure", gid=group[0], directory_uuid=group[1]).kind == "retry"
    assert probe("group_ensure", gid=group[0], directory_uuid=group[1])["id"] == group[1]
