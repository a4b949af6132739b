"""
make bench-beside: how many of the target's own sharing calls fail while we write into the same files.

    python3 tests/bench/beside.py [--theirs 50] [--ours 240] [--runs 5] [--only shares|links] [--log]

One owner and one recipient, so every call is about the same files. Somebody makes `theirs` shares (then
links) over the sharing API, all at once and, in other runs, one every --gaps seconds; meanwhile our writer
makes `ours` of its own, 16 at a time, and goes on changing them until the others are done. Each run is a
new owner and recipient. Needs a real oCIS: the simulator's managers are no measure. Prints one line of JSON
a run, and the sums; --log shows what oCIS wrote about it.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parents[1] / "contract")]

from bed import fetch  # noqa: E402

fetch.in_venv()

from bed.target import real_ocis  # noqa: E402
from client import EDITOR, OK, VIEWER, Client  # noqa: E402
from conftest import start  # noqa: E402
from probe import bits  # noqa: E402
from test_writer import make_site  # noqa: E402

AT_ONCE = 16  # of ours


class Run:
    def __init__(self, target, client, folder, kind, args, delay):
        self.kind, self.args, self.delay = kind, args, delay
        site = self.site = make_site(target, lambda t: client, folder, exact=True)
        name = "r" + uuid.uuid4().hex[:8]
        self.uid = site.probe("user_ensure", uid=name, display_name="R")["id"]
        site.probe("space_ensure", uid=name)
        self.see = client.sign_in(name)
        self.theirs = [site.see.folder(f"t{i}") for i in range(args.theirs)]
        self.ours = [site.see.folder(f"o{i}") for i in range(args.ours)]
        self.ids, self.done, self.refused = {}, [], Counter()
        self.puts = self.rounds = self.sets = 0
        self.running = threading.Event()

    def set(self, rows):
        """One round of ours: those rows, new or with other permissions."""
        calls = []
        for row in rows:
            node = self.ours[row - 1]
            want = {"space": self.site.space, "node_id": node, "folder": True, "expires": 0, "row": row,
                    "sharer": self.site.name, "ctime": 1500000000,
                    "permissions": bits(EDITOR if self.rounds % 2 else VIEWER)}
            if self.kind == "shares":
                want.update(call="share_set", group=False, grantee_id=self.uid, state="accepted",
                            mount_point=f"m{row}", **({"share_id": self.ids[row]} if row in self.ids else {}))
            else:
                want.update(call="link_set", has_password=False, label="",
                            **({"link_id": self.ids[row]} if row in self.ids else {}))
            calls.append(want)
        answer = self.site.probe("concurrent", calls=calls)
        self.puts += answer["calls"].get("PUT", 0)
        for row, result in zip(rows, answer["results"]):
            assert result["ok"], result
            self.ids[row] = result["id"]
        self.sets += len(rows)

    def stream(self):
        while True:
            for first in range(1, self.args.ours + 1, AT_ONCE):
                self.set(range(first, min(first + AT_ONCE, self.args.ours + 1)))
                self.running.set()
                if self.rounds and not self.others.is_alive():
                    return
            self.rounds += 1
            if not self.others.is_alive():
                return

    def other(self, node):
        answer = self.site.see.share(node, self.see, VIEWER) if self.kind == "shares" \
            else self.site.see.link(node, VIEWER)
        if answer.status.code == OK:
            self.done.append(answer.share.id.opaque_id)
        else:
            self.refused[answer.status.message[:200]] += 1

    def call_all(self, at_once, gap):
        self.running.wait(60)
        time.sleep(self.delay)
        self.began = time.monotonic()
        with ThreadPoolExecutor(at_once) as pool:
            for node in self.theirs:
                pool.submit(self.other, node)
                time.sleep(gap)
        self.took = time.monotonic() - self.began

    def go(self, beside, at_once, gap):
        self.others = threading.Thread(target=self.call_all, args=(at_once, gap))
        self.others.start()
        began = time.monotonic()
        if beside:
            self.stream()
        else:
            self.running.set()
        took = time.monotonic() - began
        self.others.join()
        shares = {s.id.opaque_id for s in (self.site.see.my_shares() if self.kind == "shares"
                                           else self.site.see.my_links())}
        received = {r.share.id.opaque_id for r in self.see.received()}
        want = set(self.done) | set(self.ids.values())
        lost = want - shares | (want - received if self.kind == "shares" else set())
        self.site.probe.stop()
        return {"kind": self.kind, "beside": beside, "at_once": at_once, "gap": gap, "theirs": self.args.theirs,
                "refused": sum(self.refused.values()), "lost": len(lost),
                "left": len((shares | received) - want) if self.kind == "shares" else len(shares - want),
                "theirs_s": round(self.took, 1), "ours": self.sets, "ours_s": round(took, 1),
                "puts": self.puts, "why": dict(self.refused)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--theirs", type=int, default=50)
    parser.add_argument("--ours", type=int, default=240)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=("shares", "links"))
    parser.add_argument("--alone", action="store_true", help="a run without us, too")
    parser.add_argument("--gaps", type=float, nargs="*", default=[], help="runs with so many seconds between two calls, too")
    parser.add_argument("--log", action="store_true")
    args = parser.parse_args()
    if not real_ocis():
        sys.exit("no oCIS here: no program `ocis` on the PATH, and LOCKSTEP_OCIS is unset")
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        target = start("oCIS", Path(folder) / "ocis")
        try:
            measure(args, target, Path(folder))
        finally:
            target.stop()
        if args.log:
            for path in (Path(folder) / "ocis").glob("*.log"):
                print(path.name, *[line for line in path.read_text(errors="replace").splitlines()
                                   if '"error"' in line][-60:], sep="\n")


def measure(args, target, folder):
    client, sums, n = Client(target), {}, 0
    chance = random.Random(7)  # when the others begin, within a second of ours
    ways = [(True, args.theirs, 0)] + [(True, args.theirs, gap) for gap in args.gaps] + [(False, args.theirs, 0)] * args.alone
    for kind in (args.only,) if args.only else ("shares", "links"):
        for beside, at_once, gap in ways:
            for _ in range(args.runs if beside else 1):
                n += 1
                place = folder / f"r{n}"
                place.mkdir()
                taken = Run(target, client, place, kind, args, chance.random()).go(beside, at_once, gap)
                print(json.dumps(taken), flush=True)
                sums.setdefault((kind, beside, gap), []).append(taken)
    for (kind, beside, gap), runs in sums.items():
        print(f"{kind}, {f'every {gap} s' if gap else 'all at once'}, {'beside us' if beside else 'alone'}: refused "
              f"{[r['refused'] for r in runs]} of {args.theirs}, lost {sum(r['lost'] for r in runs)}, "
              f"left {sum(r['left'] for r in runs)}, ours {sum(r['ours'] for r in runs)} in "
              f"{sum(r['ours_s'] for r in runs):.1f} s with {sum(r['puts'] for r in runs)} PUTs")


if __name__ == "__main__":
    main()
