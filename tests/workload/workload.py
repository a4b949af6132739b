"""
A random working day at an ownCloud 10 site: seeded, so that the same seed does the same.

    workload.py --socket S --data DIR [--create] --seed 1 --actions 500
    workload.py --socket S --data DIR --seed 1 --seconds 30 --rate 20

As a library: Workload(site, seed).populate(users=5); .step(); .run(actions=200). Times of the
clock are part of what is written, so two runs of one seed differ in those, and in nothing else.
"""

import argparse
import collections
import sys
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from workload import consistency  # noqa: E402
from workload.shares import (ACCEPTED, GROUP, LINK, REJECTED, USER, Shares,  # noqa: E402
                             in_days)
from workload.site import Site  # noqa: E402

PEOPLE = [("alice", "Alice Ähre"), ("bob", "Bob"), ("carol", "Carol Ö. Müller"), ("dave", None),
          ("12345", "Numeric Name"), ("z.o-n_e+i @x'y", "Zoë"), ("erin", "Erin 🌻"),
          ("frank", "Frank"), ("grace", "Grace"), ("heidi", "Heidi")]
GROUPS = ["staff", "R&D/50%", "Küche"]
WORDS = ["Notes", "Report", "Budget 2026", "Übersicht", "größte Fotos", "Emoji 🎉", "100%", "C#",
         "it's", 'say "hi"', "a+b", "x & y", "plan", "日本", "draft (1)", "sub", ".hidden",
         "semi;colon", "under_score", "dot.dot"]
ENDINGS = ["txt", "md", "pdf", "jpg", "odt", "zip", "csv", "bin"]


class Workload:
    def __init__(self, site, seed=1):
        self.site, self.shares = site, Shares(site)
        self.rng = site.rng
        self.rng.seed(seed)
        self.done = collections.Counter()

    def populate(self, users=5, actions=60):
        """A small site: people, groups, homes, a first stock of files and shares."""
        site = self.site
        for i in range(users):
            uid, name = PEOPLE[i] if i < len(PEOPLE) else (f"user{i:04}", f"User {i}")
            site.create_user(uid, name, f"user{i}@example.org" if i % 2 == 0 else None)
            site.login(uid)
        for gid in GROUPS:
            site.create_group(gid)
            for uid in self.rng.sample(site.users, min(3, users)):
                site.add_member(gid, uid)
        for _ in range(actions):
            self.step(self.rng.choice(("make_folder", "upload", "upload", "upload", "share_user")))

    # ---- choosing

    def uid(self):
        return self.rng.choice([u for u in self.site.users if u in self.site.storages])

    def nodes(self, uid, files=True, folders=True):
        return [n for n in self.site.files(uid).below()
                if (files and not n.folder) or (folders and n.folder)]

    def pick(self, uid, **which):
        found = self.nodes(uid, **which)
        return self.rng.choice(found) if found else None

    def place(self, uid, avoid=None):
        """A folder to put something into, not too deep, not inside `avoid`."""
        found = [self.site.files(uid)] + [n for n in self.nodes(uid, files=False)
                                          if n.path.count("/") < 5]
        found = [n for n in found if avoid is None or not n.inside(avoid)]
        return self.rng.choice(found)

    def name(self, folder, ending=None):
        """A name that is free there; now and then one with blanks or of other scripts."""
        for i in range(1000):
            name = self.rng.choice(WORDS)
            if i:
                name += f" {self.rng.randrange(10000)}"
            name += f".{ending}" if ending else ""
            if name not in folder.children:
                return name
        raise RuntimeError("no free name")

    def content(self):
        size = self.rng.choice((3, 40, 400, 4000, 40000))
        return self.rng.randbytes(self.rng.randrange(1, size))

    def past(self):
        """A client's X-OC-Mtime, or the clock."""
        return self.rng.choice((None, None, self.rng.randrange(0, 1700000000)))

    # ---- actions: each returns False when there is nothing to do it to

    def make_folder(self):
        parent = self.place(self.uid())
        self.site.mkdir(parent, self.name(parent))

    def upload(self):
        parent = self.place(self.uid())
        self.site.upload(parent, self.name(parent, self.rng.choice(ENDINGS)), self.content(),
                         self.past())

    def upload_empty(self):
        parent = self.place(self.uid())
        self.site.upload(parent, self.name(parent, "txt"), b"")

    def upload_two_steps(self):
        parent = self.place(self.uid())
        self.site.upload_in_two_steps(parent, self.name(parent, "md"), self.content())

    def upload_chunks(self):
        parent = self.place(self.uid())
        self.site.upload_in_chunks(parent, self.name(parent, "bin"), self.rng.randbytes(60000))

    def overwrite(self):
        node = self.pick(self.uid(), folders=False)
        if not node:
            return False
        self.site.overwrite(node, self.content(), self.past())

    def rename(self):
        node = self.pick(self.uid())
        if not node:
            return False
        ending = None if node.folder else self.rng.choice(ENDINGS)
        self.site.move(node, node.parent, self.name(node.parent, ending))

    def move(self):
        uid = self.uid()
        node = self.pick(uid)
        if not node:
            return False
        parent = self.place(uid, avoid=node)
        name = node.name
        if name in parent.children and (parent.children[name].folder or node.folder):
            name = self.name(parent, None if node.folder else "txt")
        if parent.children.get(name) is node:
            return False
        self.site.move(node, parent, name)

    def move_over_existing(self):
        uid = self.uid()
        files = self.nodes(uid, folders=False)
        if len(files) < 2:
            return False
        node, target = self.rng.sample(files, 2)
        self.site.move(node, target.parent, target.name)

    def move_across(self):
        """Into another one's home, as through a received share: the file id stays."""
        giver, taker = self.uid(), self.uid()
        node = self.pick(giver)
        if giver == taker or not node:
            return False
        parent = self.place(taker)
        self.site.move(node, parent, self.name(parent, None if node.folder else "txt"))

    def copy(self):
        uid = self.uid()
        node = self.pick(uid)
        if not node or sum(1 for _ in node.below()) > 30:
            return False
        parent = self.place(uid, avoid=node)
        self.site.copy(node, parent, self.name(parent, None if node.folder else "txt"))

    def delete(self):
        node = self.pick(self.uid())
        if not node:
            return False
        self.site.delete(node, leading_slash=self.rng.random() < 0.1)

    def _trash_item(self):
        uid = self.uid()
        items = self.site.trashed(uid)
        return (uid, self.rng.choice(items)) if items else None

    def restore(self):
        found = self._trash_item()
        if not found:
            return False
        self.site.restore(*found)

    def purge(self):
        found = self._trash_item()
        if not found:
            return False
        self.site.purge(*found)

    def empty_trash(self):
        return self.site.empty_trash(self.uid()) and None

    def download(self):
        node = self.pick(self.uid(), folders=False)
        if not node:
            return False
        self.site.read(node)

    def favourite(self):
        uid = self.uid()
        node = self.pick(uid)
        if not node:
            return False
        self.site.favourite(uid, node)

    def login(self):
        self.site.login(self.rng.choice(self.site.users))

    def lock(self):
        node = self.pick(self.uid())
        if not node:
            return False
        self.site.locks(node)

    def member(self):
        gid = self.rng.choice(sorted(self.site.groups))
        uid = self.uid()
        if uid in self.site.groups[gid]:
            self.site.remove_member(gid, uid)
        else:
            self.site.add_member(gid, uid)

    # ---- shares

    def _expires(self):
        return self.rng.choice((None, None, in_days(self.rng.randrange(2, 400))))

    def share_user(self):
        uid, other = self.uid(), self.uid()
        node = self.pick(uid)
        if not node or uid == other or self.shares.rows(
                "file_source = %s AND share_type = 0 AND share_with = %s", node.id, other):
            return False
        self.shares.to_user(node, other, self.rng.choice((31, 31, 1, 17, 3, 15)),
                            expires=self._expires())

    def share_group(self):
        uid, gid = self.uid(), self.rng.choice(sorted(self.site.groups))
        node = self.pick(uid)
        if not node or self.shares.rows(
                "file_source = %s AND share_type = 1 AND share_with = %s", node.id, gid):
            return False
        self.shares.to_group(node, gid, self.rng.choice((31, 1, 17)))

    def share_link(self):
        node = self.pick(self.uid())
        if not node:
            return False
        self.shares.link(node, self.rng.choice((1, 15, 4, 5)) if node.folder else 1,
                         self.rng.random() < 0.3, self._expires(),
                         self.rng.choice((None, "For you", "Grüße 🎁")))

    def reshare(self):
        """A recipient who may, hands it on."""
        rows = [r for r in self.shares.rows("share_type = 0 AND permissions >= 16"
                                            " AND accepted = 0") if r[5] in self.site.cache.nodes]
        if not rows:
            return False
        row = self.rng.choice(rows)
        node, other = self.site.cache.nodes[row[5]], self.uid()
        if other in (row[2], row[3]) or not node.path.startswith("files/") or self.shares.rows(
                "file_source = %s AND share_type = 0 AND share_with = %s", node.id, other):
            return False
        self.shares.to_user(node, other, row[6], initiator=row[2])

    def _share(self, *types):
        rows = [r for r in self.shares.rows() if r[1] in types]
        return self.rng.choice(rows) if rows else None

    def change_share(self):
        row = self._share(USER, GROUP)
        if not row:
            return False
        self.shares.change_permissions(row[0], self.rng.choice((1, 17, 31)))

    def change_link(self):
        row = self._share(LINK)
        if not row:
            return False
        if self.rng.random() < 0.5:
            self.shares.change_expiration(row[0], self._expires())
        else:
            self.shares.change_link_password(row[0], self.rng.random() < 0.5)

    def remove_share(self):
        row = self._share(USER, GROUP, LINK)
        if not row:
            return False
        self.shares.remove(row[0])

    def _received(self):
        row = self._share(USER, GROUP)
        if not row:
            return None
        members = [row[2]] if row[1] == USER else sorted(self.site.groups.get(row[2], ()))
        members = [m for m in members if m != row[3]]
        return (row[0], self.rng.choice(members)) if members else None

    def answer_share(self):
        found = self._received()
        if not found:
            return False
        self.shares.answer(*found, self.rng.choice((ACCEPTED, REJECTED)))

    def rename_received(self):
        found = self._received()
        if not found:
            return False
        self.shares.rename_received(*found, f"/My {self.rng.choice(WORDS)}"
                                            f" {self.rng.randrange(1000)}")

    def orphan_job(self):
        self.shares.remove_orphans()

    WEIGHTS = {
        "make_folder": 8, "upload": 20, "upload_empty": 2, "upload_two_steps": 2,
        "upload_chunks": 1, "overwrite": 10, "rename": 8, "move": 6, "move_over_existing": 1,
        "move_across": 3, "copy": 3, "delete": 6, "restore": 3, "purge": 2, "empty_trash": 0.3,
        "download": 3, "favourite": 2, "login": 6, "lock": 6, "member": 1, "share_user": 5,
        "share_group": 3, "share_link": 3, "reshare": 1, "change_share": 2, "change_link": 2,
        "remove_share": 2, "answer_share": 3, "rename_received": 2, "orphan_job": 0.5}

    def step(self, action=None):
        """One action, this one or any; returns its name, or None when there was nothing to do."""
        name = action or self.rng.choices(list(self.WEIGHTS), list(self.WEIGHTS.values()))[0]
        if getattr(self, name)() is False:
            return None
        self.done[name] += 1
        return name

    def run(self, actions=None, seconds=None, rate=None, between=lambda: None):
        """So many actions, or for so long; at most `rate` a second. Returns how many it did."""
        start, n = time.monotonic(), 0
        while (actions is None or n < actions) and \
                (seconds is None or time.monotonic() - start < seconds):
            if self.step():
                n += 1
            between()
            if rate:
                time.sleep(max(0.0, start + n / rate - time.monotonic()))
        return n


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--socket")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3306)
    parser.add_argument("--user", default="owncloud")
    parser.add_argument("--password", default="owncloud")
    parser.add_argument("--database", default="owncloud")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--home", help="the data directory as the rows name it")
    parser.add_argument("--create", action="store_true", help="make tables and a small site first")
    parser.add_argument("--users", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--actions", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--check", action="store_true", help="compare rows and disk at the end")
    args = parser.parse_args()
    server = ({"unix_socket": args.socket} if args.socket
              else {"host": args.host, "port": args.port})
    site = Site(args.data, home=args.home, user=args.user, password=args.password,
                database=args.database, **server)
    work = Workload(site, args.seed)
    if args.create:
        site.create_tables()
        work.populate(args.users)
    else:
        site.load()
    done = work.run(args.actions, args.seconds, args.rate)
    print(f"{done} actions, {site.cache.statements} statements")
    for name, n in sorted(work.done.items()):
        print(f"{n:>6} {name}")
    problems = consistency.problems(site) if args.check else []
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
