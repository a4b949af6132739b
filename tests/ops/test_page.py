"""The demo's HTML page, as a browser (Chromium without a screen) sees it."""

import re
import threading

from bed.browser import Tree, dom_of
from demo.page import KEPT, STAGES, History, Page, draw

EVIL = '<script>document.title="owned"</script><img src=x onerror=alert(1)>&"\''


def document(stage, **more):
    return {"stage": stage, "ready": True, "why": "", "lag_us": 1500000, "balance": 0, "rate": 7.2,
            "counters": {"in": 41}, "parked": {}, "dead": {}, **more}


def history(**documents):
    out = History(lambda stage: documents.get(stage, {}))
    out.look(1000.0)
    return out


def test_the_page_says_what_the_documents_say():
    seen = history(capture=document("capture", snapshot={"state": "running", "rows": 50, "estimate": 200}),
                   transform=document("transform", dead={"share-type": 2}),
                   apply=document("apply", ready=False, why="target-down", balance=-3, open=9,
                                  parked={"queued": 5, "orphan": 4}, dead={"quota": 1}))
    page = draw(seen, 1000.0)
    tree = Tree(page)
    assert "ready" in tree.text["capture"] and "1.5 s" in tree.text["capture"]
    assert "target-down" in tree.text["apply"] and "-3" in tree.text["apply"]
    assert tree.text["parked"] == "orphan4"  # what is queued is not parked
    assert tree.text["dead"] == "apply: quota1transform: share-type2"
    assert 'value="25"' in page and "50 rows" in tree.text["snapshot"]
    assert tree.text["open"] == "9"


def test_a_stage_that_says_nothing_is_silent_and_falls_behind():
    said = {"apply": document("apply")}
    seen = History(lambda stage: said.get(stage, {}))
    for now in range(1000, 1005):
        seen.look(float(now))
    said.clear()
    for now in range(1005, 1105):
        seen.look(float(now))
    tree = Tree(draw(seen, 1104.0))
    assert "silent" in tree.text["apply"] and "101.5 s" in tree.text["apply"]
    assert "silent" in tree.text["capture"]
    assert list(seen.lags["apply"]) == sorted(seen.lags["apply"])


def test_the_plot_keeps_its_frame_and_its_length():
    said = {"apply": document("apply")}
    seen = History(lambda stage: said.get(stage, {}))
    for i in range(2 * KEPT):
        said["apply"] = document("apply", lag_us=i * 1000000)
        seen.look(float(i))
    points = re.search(r'<svg id="lag-apply".*?points="([^"]*)"', draw(seen, 2.0 * KEPT))[1].split()
    assert len(points) == KEPT
    places = [tuple(map(float, p.split(","))) for p in points]
    assert all(0 <= x <= 600 and 0 <= y <= 80 for x, y in places)
    assert places == sorted(places) and places[-1][1] < places[0][1]  # later is right, more is up


def test_odd_documents_are_shown_as_text_and_break_nothing():
    odd = document("apply", ready=False, why=EVIL, lag_us="x", balance=EVIL, rate=None, parked={EVIL: 1},
                   dead=[EVIL], counters=7, open=EVIL, snapshot=EVIL)
    seen = history(capture=document("capture", snapshot={"state": EVIL, "rows": EVIL}), apply=odd,
                   transform={"stage": EVIL})
    page = draw(seen, 1000.0)
    tree = Tree(page)
    assert "script" not in tree.tags and "img" not in tree.tags
    assert EVIL in tree.text["apply"] and EVIL in tree.text["parked"] and EVIL in tree.text["snapshot"]


def test_a_browser_draws_it_and_loads_nothing_else(tmp_path):
    asked = threading.Event()

    def status(stage):
        asked.set()
        return document(stage, parked={EVIL: 2}, snapshot={"state": "done", "rows": 3, "estimate": 3})
    with Page(status) as page:
        assert asked.wait(60)
        page.history.look()
        page.text = draw(page.history)
        dom = dom_of(page.url, tmp_path)
    assert "<title>Lockstep</title>" in dom  # and not what a script made of it
    tree = Tree(dom)
    for stage in STAGES:
        assert "ready" in tree.text[stage]
        assert re.search(rf'<svg id="lag-{stage}".*?<polyline points="\d', dom, re.S)
    assert EVIL in tree.text["parked"] and "img" not in tree.tags and "script" not in tree.tags
    assert tree.text["dead"] == "none"
