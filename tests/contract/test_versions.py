"""Old contents of a file: what a target keeps of what is written over, and how our writer puts
them there. What is there is looked at with the raw client."""
import pytest
from client import UNKNOWN_ID
from test_writer import make_site


@pytest.fixture
def site(target, clients, tmp_path):
    site = make_site(target, clients, tmp_path)
    yield site
    site.probe.stop()


def old(site, node, text, mtime, ns, **more):
    """An old content over what the node has: the same bytes count as another content."""
    return site.call("put_file", node_id=node, blob=dict(site.blob(text), anew=True), mtime=mtime,
                     mtime_ns=ns, **more)["node"]


def revisions(site, node):
    """[(key behind the node's id, seconds, size)], oldest first."""
    return sorted((v.key.partition(".REV.")[2], v.mtime, v.size)
                  for v in site.see.versions(node).versions)


def stamp(seconds, ns):
    return "2020-09-13T12:%02d:%02d.%09dZ" % (26 + (40 + seconds) // 60, (40 + seconds) % 60, ns)


def test_contents_put_one_after_the_other_become_revisions_with_their_own_times(site):
    node = site.put("f", "one", mtime=1600000001, ns=100000001)["id"]
    old(site, node, "two two", 1600000002, 100000002)
    site.overwrite(node, "three", mtime=1600000009, ns=100000009)
    assert revisions(site, node) == [(stamp(1, 100000001), 1600000001, 3),
                                     (stamp(2, 100000002), 1600000002, 7)]
    assert (site.see.get(node).content, site.see.info(node).mtime.seconds) == (b"three", 1600000009)
    etags = {v.etag for v in site.see.versions(node).versions} | {site.see.info(node).etag}
    assert len(etags) == 3


def test_their_contents_can_be_had_again(site):
    node = site.put("f", "one", mtime=1600000001, ns=1)["id"]
    site.overwrite(node, "two", mtime=1600000002, ns=2)
    assert site.probe("revision_find", space=site.space, node_id=node, mtime=1600000001,
                      size=3)["found"]
    key = site.see.versions(node).versions[0].key
    assert key.startswith(node + ".REV.")


def test_a_content_from_before_1970_is_a_revision_of_its_second(site):
    node = site.put("f", "one", mtime=-5, ns=0)["id"]
    site.overwrite(node, "two", mtime=1600000002, ns=2)
    assert [(at - 2**64 if at >= 2**63 else at, size) for _, at, size in revisions(site, node)] == [(-5, 3)]
    assert site.probe("revision_find", space=site.space, node_id=node, mtime=-5, size=3)["found"]


def test_an_older_time_that_comes_later_is_the_content_all_the_same(site):
    node = site.put("f", "newer", mtime=1600000005, ns=5)["id"]
    site.overwrite(node, "older", mtime=1600000001, ns=1)
    assert [s for _, s, _ in revisions(site, node)] == [1600000005]
    assert site.see.get(node).content == b"older"


def test_the_same_bytes_with_another_time_become_a_revision_when_they_are_asked_for(site):
    node = site.put("f", "one", mtime=1600000001, ns=100000001)["id"]
    old(site, node, "one", 1600000002, 100000002)
    assert [s for _, s, _ in revisions(site, node)] == [1600000001]
    assert site.see.info(node).mtime.seconds == 1600000002


def test_an_empty_content_is_a_revision_too(site):
    node = site.put("f", "", mtime=1600000001, ns=100000001)["id"]
    old(site, node, "two", 1600000002, 100000002)
    assert revisions(site, node) == [(stamp(1, 100000001), 1600000001, 0)]


def test_a_doubtful_old_content_that_arrived_is_not_doubled(site):
    node = site.put("f", "one", mtime=1600000001, ns=100000001)["id"]
    for doubtful in (False, True, True):
        old(site, node, "one", 1600000002, 100000002, doubtful=doubtful)
    assert "PUT" not in site.probe.calls
    assert [s for _, s, _ in revisions(site, node)] == [1600000001]


def test_a_doubtful_first_old_content_that_arrived_is_found(site):
    blob = dict(site.blob("one"), anew=True)
    nodes = {site.call("put_file", parent_id=site.root, name="f", blob=blob, mtime=1600000001,
                       mtime_ns=100000001, doubtful=doubtful)["node"]["id"]
             for doubtful in (False, True)}
    assert len(nodes) == 1 and "PUT" not in site.probe.calls


def test_a_revision_is_found_by_its_second_and_size(site):
    node = site.put("f", "one", mtime=1600000001, ns=100000001)["id"]
    site.overwrite(node, "three", mtime=1600000002)

    def found(mtime, size):
        return site.call("revision_find", node_id=node, mtime=mtime, size=size)["found"]
    assert found(1600000001, 3) and found(1600000001, -1)
    assert not found(1600000001, 4) and not found(1600000002, 5)
    assert set(site.probe.calls) <= {"ListFileVersions", "Authenticate"}


def test_revisions_of_what_is_not_there_are_an_answer_of_their_own(site):
    refused = site.fails("revision_find", node_id=UNKNOWN_ID, mtime=1, size=1)
    assert (refused.kind, refused.cause) == ("retry", "gone")


def test_revisions_survive_a_move_the_trash_and_the_way_back(site):
    node = site.put("f", "one", mtime=1600000001, ns=100000001)["id"]
    site.overwrite(node, "two", mtime=1600000002)
    before = revisions(site, node)
    site.call("move", node_id=node, parent_id=site.root, name="g")
    site.call("trash", node_id=node)
    site.call("restore", top_id=node, parent_id=site.root, name="h")
    assert revisions(site, node) == before and len(before) == 1


def below(site):
    """A file whose old content came after it: (node, what revision_restore is to be told)."""
    node = site.put("f", "content", mtime=1600000005, ns=100000005)
    older = old(site, node["id"], "old", 1600000001, 100000001)
    assert [s for _, s, _ in revisions(site, node["id"])] == [1600000005]
    return node["id"], {"node_id": node["id"], "mtime": 1600000005, "mtime_ns": 100000005, "size": 7,
                        "sha1": node["sha1"], "sha1_now": older["sha1"]}


def is_below(site, node):
    assert revisions(site, node) == [(stamp(1, 100000001), 1600000001, 3)]
    info = site.see.info(node)
    assert (info.mtime.seconds, info.mtime.nanos) == (1600000005, 100000005)
    assert site.see.get(node).content == b"content"


def test_a_content_is_taken_back_from_its_revision_and_the_old_one_stays_below_it(site):
    node, want = below(site)
    for _ in range(2):  # a repeat finds it done
        answer = site.call("revision_restore", **want)
        assert answer["done"] and answer["node"]["id"] == node
        is_below(site, node)
    assert "RestoreFileVersion" not in site.probe.calls and "PUT" not in site.probe.calls


def test_what_is_no_revision_is_not_restored(site):
    node, want = below(site)
    for wrong in ({"mtime": 1600000004}, {"size": 8}):
        assert not site.call("revision_restore", **dict(want, **wrong))["done"]
    assert [s for _, s, _ in revisions(site, node)] == [1600000005]
    assert site.see.get(node).content == b"old"


def test_what_somebody_else_wrote_meanwhile_is_not_written_over_by_a_revision(site):
    node, want = below(site)
    site.overwrite(node, "somebody's", mtime=1600000009, ns=9)
    assert not site.call("revision_restore", **want)["done"]
    assert site.see.get(node).content == b"somebody's"


@pytest.mark.parametrize("call", ["RestoreFileVersion", "SetArbitraryMetadata"])
@pytest.mark.parametrize("effect", ["drop-before", "drop-after"])
def test_a_restore_that_was_cut_off_is_finished_by_its_repeat(sim, clients, tmp_path, call, effect):
    site = make_site(sim, clients, tmp_path, target__timeout_ms=60000)
    node, want = below(site)
    sim.ask("/faults", "POST", {"call": "storage-users." + call, "nth": 1, "effect": effect})
    answer = site.probe.raw("revision_restore", space=site.space, **want)
    sim.ask("/faults", "DELETE")
    assert answer["ok"] or (answer["kind"], answer["cause"]) == ("retry", "timeout")
    assert site.call("revision_restore", **want)["done"]
    is_below(site, node)
    site.probe.stop()
