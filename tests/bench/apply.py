"""
make bench-apply: apply beside rclone, a bare client and the sharing API on one and the same target.

    python3 tests/bench/apply.py [--only PART,...] [--files N] [--sizes SIZE,...] [--docs] [--merge]

Parts: files, shares, mirror, fairness (a real oCIS where there is one, else the simulator), latency, calls,
memory (the simulator). Writes build/bench/apply.json and prints the table. README.md beside this file says
what is measured and how.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bed import Bed, fetch  # noqa: E402
from bed.process import BedError, run  # noqa: E402

fetch.in_venv()

from bed.daemons import BIN  # noqa: E402
from bed.target import Ocis, Simulator, real_ocis  # noqa: E402

import appliers  # noqa: E402
import measure  # noqa: E402
from appliers import Apply, Tree  # noqa: E402
from source import Broker, machine, write_docs  # noqa: E402

BENCH = fetch.ROOT / "build" / "bench"
TOOLS = BENCH / "bin"
PARTS = ("files", "mirror", "shares", "fairness", "latency", "calls", "memory")
IN_FLIGHT = 32  # of the bare client
SIZES = {"1 KiB": 1024, "100 KiB": 100 << 10, "10 MiB": 10 << 20, "1 GiB": 1 << 30}
COUNTS = {"100 KiB": 300, "10 MiB": 12, "1 GiB": 1}
ROUNDS = 4  # of small files, which the disk's good and bad minutes tell apart by a half
RCLONE_COUNTS = {"1 KiB": 100, "100 KiB": 60, "10 MiB": 12, "1 GiB": 1}
SHARES, API_SHARES = 500, 50
BACKLOG = 1000000
LATENCY_MS = 20
SMALL = 50  # uploads of the small space, idle and under load each


class Bench:
    def __init__(self, args):
        self.args, self.results, self.left_out, self.n = args, {}, {}, 0
        self.bed = Bed(folder=BENCH / "run" / "bed", mariadb=False, kafka=False)

    def say(self, text):
        print(f"bench: {time.strftime('%H:%M:%S')} {text}", flush=True)

    def keep(self, part, name, taken):
        taken["load"] = round(os.getloadavg()[0], 2)
        self.results.setdefault(part, {})[name] = taken
        self.say(f"{part}, {name}: {taken}")

    def apply(self, **sets):
        """A lockstep-apply of its own: topics, ledger, data directory."""
        self.n += 1
        folder = BENCH / "run" / f"a{self.n}"
        shutil.rmtree(folder, ignore_errors=True)
        return Apply(self.bed, folder, f"a{self.n}-{os.getpid()}", sets)

    # ---- on a real oCIS where there is one

    def files(self):
        """Each size by all, one after the other; small ones in rounds."""
        with self.apply() as a:
            for name in self.args.sizes:
                size = SIZES[name]
                rounds = ROUNDS if name == "1 KiB" else 1
                count = COUNTS.get(name, self.args.files)
                self.in_rounds("files", rounds, {
                    f"{name}, bare": lambda: self.bare(a, count, size),
                    f"{name}, apply": lambda: self.copied(a, count, size)})
                if self.has_rclone():
                    self.keep("files", f"{name}, rclone",
                              self.rclone(a, RCLONE_COUNTS[name], size))

    def in_rounds(self, part, rounds, ways):
        """All ways in each round, every other time the other way round; kept is what they did in all."""
        taken = {name: [] for name in ways}
        for n in range(rounds):
            for name in list(ways)[::1 if n % 2 == 0 else -1]:
                taken[name].append(ways[name]())
        for name, runs in taken.items():
            self.keep(part, name, together(runs))

    def bare(self, a, count, size):
        """The bare client with the same target."""
        uid = a.user()
        a.wait_drained()
        said = json.loads(run([TOOLS / "uploads", a.config, "put", uid, "bare", count, size,
                               IN_FLIGHT], "the bare client"))
        return rate(said["count"] - said["failed"], said["seconds"], size, failed=said["failed"])

    def copied(self, a, count, size):
        """Records of new files of one user, from the first one sent to the last one applied."""
        uid = a.user()
        tree = Tree(a.data, uid, a.storages)
        a.states.send(tree.base())
        a.wait_drained()
        lines = tree.files("bulk", count, size)
        before, mirrored, called = a.resources(), a.mirrored(), a.seconds_in_calls()
        began = time.time()
        a.states.send(lines)
        end = a.wait_drained(900)
        after, called = a.resources(), a.seconds_in_calls() - called
        return rate(count, end - began, size, cpu_s=round(after["cpu_s"] - before["cpu_s"], 2),
                    max_rss_mb=after["max_rss_mb"], dead=a.dead(),
                    mirrored=a.mirrored() - mirrored, in_flight=round(called / (end - began), 1))

    def has_rclone(self):
        """Debian's, installed when it can be; the simulator has no WebDAV."""
        if self.bed.target.kind == "simulator":
            self.left_out["rclone"] = "no real oCIS here"
        elif not shutil.which("rclone"):
            try:
                run(["apt-get", "install", "-y", "--no-install-recommends", "rclone"], "rclone")
            except BedError as e:
                self.left_out["rclone"] = str(e)
        return "rclone" not in self.left_out

    def rclone(self, a, count, size):
        """rclone over WebDAV as that user, with its own defaults (4 transfers)."""
        uid = a.user()
        a.wait_drained()
        return appliers.rclone(self.bed.target, a.data / f"rclone {uid}", uid, count, size)

    def mirror(self):
        """The same small files with and without the ledger's mirror, in rounds."""
        with self.apply(**{"apply.mirror": "true"}) as one, \
                self.apply(**{"apply.mirror": "false"}) as other:
            self.in_rounds("mirror", ROUNDS, {
                "apply.mirror = true": lambda: self.copied(one, self.args.files, 1024),
                "apply.mirror = false": lambda: self.copied(other, self.args.files, 1024)})

    def shares(self):
        with self.apply(**{"apply.shares": "exact"}) as a:
            uid, other = a.user(), a.user()
            tree = Tree(a.data, uid, 1)
            a.states.send(tree.base() + tree.folders("shared", SHARES))
            a.wait_drained()
            before, began = a.calls(), time.time()
            a.states.send(tree.shares(other))
            taken = rate(SHARES, a.wait_drained(300) - began, 0, dead=a.dead())
            calls = {name: n - before.get(name, 0) for name, n in a.calls().items()
                     if n > before.get(name, 0)}
            self.keep("shares", "apply", {**taken, "calls": calls})
            said = json.loads(run([TOOLS / "uploads", a.config, "grant", uid, "grants", SHARES,
                                   other, IN_FLIGHT], "the grants alone"))
            self.keep("shares", "AddGrant alone", rate(
                said["count"] - said["failed"], said["seconds"], 0, failed=said["failed"]))
            runs = []
            for in_flight in (1, 8):
                said = json.loads(run([TOOLS / "uploads", a.config, "share", uid, f"by {in_flight}",
                                       API_SHARES, other, in_flight], "the sharing API"))
                runs.append(rate(said["count"] - said["failed"], said["seconds"], 0,
                                 in_flight=in_flight, failed=said["failed"]))
            self.keep("shares", "sharing API", max(runs, key=lambda t: t["per_s"]))

    def fairness(self):
        """New files of one user, one at a time, alone and while another has many to be copied."""
        with self.apply() as a:
            small, bulk = a.user(), a.user()
            trees = [Tree(a.data, small, 1), Tree(a.data, bulk, 2)]
            a.states.send(trees[0].base() + trees[1].base())
            a.wait_drained()
            idle = appliers.one_by_one(self.bed.target, a, trees[0], "idle", SMALL)
            self.keep("fairness", "idle", idle)
            a.states.send(trees[1].files("bulk", self.args.files * 10, 1024))
            busy = appliers.one_by_one(self.bed.target, a, trees[0], "busy", SMALL)
            busy["still_open"] = a.open()
            self.keep("fairness", "under a bulk load", busy)

    # ---- on the simulator

    def latency(self):
        """Each call of the target takes 20 ms longer: one in flight, and as many as by default."""
        for name, count, sets in (("serial", 60, {"apply.workers": 1}), ("parallel", 600, {})):
            with self.apply(**sets) as a:
                tree = Tree(a.data, a.user(), 1)
                a.states.send(tree.base())
                a.wait_drained()
                self.bed.target.ask("/faults", "POST", {
                    "call": "*", "effect": "latency", "ms": LATENCY_MS})
                began = time.time()
                a.states.send(tree.files("slow", count, 1024))
                self.keep("latency", name, rate(count, a.wait_drained(300) - began, 1024))
                self.bed.target.ask("/faults", "DELETE")

    def calls(self):
        """Records and writing calls for what users did, without a window and with the usual one."""
        folder, target = BENCH / "run" / "recording", self.bed.target
        shutil.rmtree(folder, ignore_errors=True)
        try:
            for name, taken in appliers.user_actions(self.bed, folder, (0, 200)).items():
                self.keep("calls", name, taken)
        finally:
            self.bed.target = target

    def memory(self):
        """A backlog of a million records, taken in while the target takes nothing."""
        with self.apply() as a:
            tree = Tree(a.data, a.user(), 1)
            a.states.send(tree.base())
            a.wait_drained()
            self.bed.target.ask("/faults", "POST", {
                "call": "*", "effect": "grpc", "status": "UNAVAILABLE"})
            began = time.time()
            a.states.send(tree.rows("backlog", BACKLOG))
            a.wait_taken(BACKLOG, 600)
            taken = a.resources()
            self.keep("memory", f"{BACKLOG} records", {
                "records": BACKLOG, "wall_s": round(time.time() - began, 1),
                "per_s": round(BACKLOG / (time.time() - began)), "max_rss_mb": taken["max_rss_mb"],
                "cpu_s": taken["cpu_s"]})
            self.bed.target.ask("/faults", "DELETE")

    # ---- what comes of it

    def ratios(self):
        def ratio(part, a, b, key="per_s"):
            try:
                return round(self.results[part][a][key] / self.results[part][b][key], 3)
            except (KeyError, ZeroDivisionError):
                return None

        def in_turn(part, a, b):
            figures = self.results.get(part, {})
            return measure.paired(figures.get(a, {}), figures.get(b, {}))
        return {
            "small_files_vs_rclone": ratio("files", "1 KiB, apply", "1 KiB, rclone"),
            "small_files_vs_bare_client": in_turn("files", "1 KiB, apply", "1 KiB, bare"),
            "files_100k_vs_rclone": ratio("files", "100 KiB, apply", "100 KiB, rclone"),
            "files_10m_vs_rclone": ratio("files", "10 MiB, apply", "10 MiB, rclone"),
            "files_1g_vs_rclone": ratio("files", "1 GiB, apply", "1 GiB, rclone"),
            "with_mirror_vs_without": in_turn("mirror", "apply.mirror = true",
                                              "apply.mirror = false"),
            "shares_vs_api": ratio("shares", "apply", "sharing API"),
            "shares_vs_grants_alone": ratio("shares", "apply", "AddGrant alone"),
            "small_space_p99_busy_vs_idle": ratio("fairness", "under a bulk load", "idle",
                                                  "p99_ms"),
            "parallel_vs_serial_20ms": ratio("latency", "parallel", "serial")}

    def run(self):
        facts, target = machine(), None
        TOOLS.mkdir(parents=True, exist_ok=True)
        run(["make", "--no-print-directory", "bench-tools"], "building the bench's programs",
            cwd=fetch.ROOT)
        if self.args.merge and (BENCH / "apply.json").is_file():
            old = json.loads((BENCH / "apply.json").read_text())
            self.results = {part: old[part] for part in PARTS if part in old}
            target = old.get("target")
        self.bed.kafka = Broker(BENCH / "run" / "kafka")
        try:
            self.bed.kafka.start()
            for kind, parts in ((Ocis if real_ocis() else Simulator, PARTS[:4]),
                                (Simulator, PARTS[4:])):
                wanted = [p for p in parts if p in self.args.only]
                if not wanted:
                    continue
                shutil.rmtree(BENCH / "run" / "target", ignore_errors=True)
                self.bed.target = kind(BENCH / "run" / "target")
                self.bed.target.start()
                if parts == PARTS[:4]:
                    target = kind.kind
                for part in wanted:
                    getattr(self, part)()
                self.bed.target.stop()
                self.bed.target = None
        finally:
            if self.bed.target:
                self.bed.target.stop()
            self.bed.kafka.stop()
        out = {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": facts, "target": target,
               "in_flight_of_the_bare_client": IN_FLIGHT, "left_out": self.left_out, **self.results, "ratios": self.ratios()}
        (BENCH / "apply.json").write_text(json.dumps(out, indent=2) + "\n")
        return out


def rate(count, seconds, size, **more):
    out = {"count": count, "seconds": round(seconds, 2), "per_s": round(count / seconds, 2)}
    if size:
        out["mb_per_s"] = round(count * size / seconds / 1e6, 2)
    return {**out, **more}


def together(runs):
    """What several runs of one way did in all; `rounds` has how fast each was."""
    out = dict(runs[-1])
    for name in ("count", "seconds", "failed", "cpu_s", "mirrored"):
        if name in out:
            out[name] = round(sum(r[name] for r in runs), 2)
    out["per_s"] = round(out["count"] / out["seconds"], 2)
    for name in ("mb_per_s", "in_flight"):
        if name in out:
            out[name] = round(statistics.mean(r[name] for r in runs), 2)
    return {**out, "rounds": [r["per_s"] for r in runs]}


def table(out):
    """The figures as docs/performance.md has them."""
    lines = ["| | count | s | each second | MB/s | load |", "|---|---:|---:|---:|---:|---:|"]
    for part in ("files", "mirror", "shares", "latency"):
        for name, f in out.get(part, {}).items():
            lines.append(f"| {part}: {name} | {f['count']} | {f['seconds']} | {f['per_s']} | "
                         f"{f.get('mb_per_s', '')} | {f['load']} |")
    lines += ["", "| one upload of a small space, record to target | p50 ms | p99 ms | load |",
              "|---|---:|---:|---:|"]
    for name, f in out.get("fairness", {}).items():
        lines.append(f"| {name} | {f['p50_ms']} | {f['p99_ms']} | {f['load']} |")
    lines += ["", "| what users did | actions | records | writing calls | calls of each action |",
              "|---|---:|---:|---:|---:|"]
    for name, f in out.get("calls", {}).items():
        lines.append(f"| {name} | {f['actions']} | {f['records']} | {f['calls']} | "
                     f"{f['calls_per_action']} |")
    for name, f in out.get("memory", {}).items():
        lines += ["", f"Memory with {name} open: {f['max_rss_mb']} MB "
                  f"(taken in at {f['per_s']} a second)."]
    lines += ["", "| ratio | |", "|---|---:|"]
    lines += [f"| {name} | {value} |" for name, value in out["ratios"].items()
              if value is not None]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--files", type=int, default=1500, help="how many small files")
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=list(SIZES),
                        help=f"of the part files; {', '.join(SIZES)}")
    parser.add_argument("--docs", action="store_true", help="figures into docs/performance.md too")
    parser.add_argument("--merge", action="store_true", help="keep the last result's other parts")
    args = parser.parse_args()
    if not set(args.only) <= set(PARTS) or not set(args.sizes) <= set(SIZES):
        parser.error(f"parts are {', '.join(PARTS)}, sizes {', '.join(SIZES)}")
    if not (BIN / "lockstep-apply").is_file():
        sys.exit("bench: build first (make)")
    (BENCH / "run").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    try:
        out = Bench(args).run()
    except BedError as e:
        sys.exit(f"bench: {e}")
    print(table(out))
    if args.docs:
        write_docs("apply", out, f"target: {out['target']}, Kafka {fetch.KAFKA} and all clients on "
                   "it too.", table(out))
    print(f"\nbench: {BENCH / 'apply.json'}")


if __name__ == "__main__":
    main()
