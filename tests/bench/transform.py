"""
make bench-transform: transform beside a bare pass-through of the same records.

    python3 tests/bench/transform.py [--rows N] [--only PART,...] [--docs]

Parts: throughput, memory, latency. Writes build/bench/transform.json and prints the table. README.md
beside this file says what is measured and how.
"""

import argparse
import itertools
import json
import os
import shutil
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bed import Bed, fetch  # noqa: E402
from bed.process import BedError, run  # noqa: E402

fetch.in_venv()

import confluent_kafka  # noqa: E402
from confluent_kafka.admin import AdminClient, NewTopic  # noqa: E402

import measure  # noqa: E402
from bed.daemons import BIN, Daemons  # noqa: E402
from source import Broker, machine, write_docs  # noqa: E402

BENCH = fetch.ROOT / "build" / "bench"
TOOLS = BENCH / "bin"
PARTS = ("throughput", "memory", "latency")
PARTITIONS = 8  # the default; rows.c and passthrough.c have it too
RUNS = 3  # of each, one after the other, so that both see the same machine
PROGRAMS = ("pass-through", "lockstep-transform")
LATENCY_ROWS, LATENCY_RATE = 10000, 500
ACTION = 6  # rows: an upload is its file's, its folder's and those of the folders above
COMMIT_MS, COMMIT_RECORDS = 20, 20000


class Transform:
    """lockstep-transform as it is configured by default, and how far its counters came."""

    def __init__(self, bed, prefix):
        self.bootstrap, self.prefix = bed.kafka.bootstrap, prefix
        folder = BENCH / "run" / prefix
        shutil.rmtree(folder, ignore_errors=True)
        self.site = Daemons(bed, data=folder, prefix=prefix, folder=folder,
                            sets={"lockstep.partitions": PARTITIONS})

    def start(self):
        self.began = time.time()
        self.process = self.site.spawn("transform")

    def taken(self, rows, seconds=600):
        """The figures between the first commit and the one that reached this number of rows."""
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "bench", "enable.auto.commit": False,
            "isolation.level": "read_committed", "allow.auto.create.topics": True})
        consumer.assign([confluent_kafka.TopicPartition(f"{self.prefix}.counters", 0, 0)])
        first, end = None, time.time() + seconds
        try:
            while time.time() < end:
                message = consumer.poll(1)
                if not self.process.alive():
                    self.process.fail("ended")
                if message is None or message.error() or message.key() != b"transform/1":
                    continue
                counters = json.loads(message.value())
                now = message.timestamp()[1] / 1000, counters["in"]
                first = first or now
                if now[1] >= rows:
                    assert counters["in"] == sum(counters["out"].values()) + sum(
                        counters["filtered"].values()), counters
                    return figures(self.process.pid, self.began, first, now)
        finally:
            consumer.close()
        raise BedError(f"transform did not come to {rows} rows within {seconds} s: {first}")

    def stop(self):
        self.site.stop()


def figures(pid, began, first, last):
    """Between two commits, (time, rows) each."""
    out = measure.taken(pid, began, first[0], last[0], last[1] - first[1])
    return {**out, "rows": last[1]}


class Bench:
    def __init__(self, args):
        self.args, self.results = args, {}
        self.bed = Bed(folder=BENCH / "run" / "bed", mariadb=False, kafka=False)

    def say(self, text):
        print(f"bench: {time.strftime('%H:%M:%S')} {text}", flush=True)

    def keep(self, part, name, taken):
        self.results.setdefault(part, {})[name] = taken
        self.say(f"{part}, {name}: {taken}")

    def topics(self, *names):
        admin = AdminClient({"bootstrap.servers": self.bed.kafka.bootstrap})
        new = [NewTopic(name, n, 1) for name, n in names]
        for made in admin.create_topics(new).values():
            made.result(30)

    def fill(self, prefix, rows):
        """A source's topics as transform makes them, with this many rows of files."""
        self.topics((f"{prefix}.oc10.oc_filecache", PARTITIONS), (f"{prefix}.oc10.oc_storages", 1),
                    (f"{prefix}.oc10.oc_mimetypes", 1))
        run([TOOLS / "rows", self.bed.kafka.bootstrap, prefix, "fill", rows], "filling the topics")

    def transform(self, prefix, rows):
        transform = Transform(self.bed, prefix)
        transform.start()
        try:
            return transform.taken(rows)
        finally:
            transform.stop()

    def passthrough(self, prefix, to, rows):
        self.topics((to, PARTITIONS))
        log = BENCH / "run" / f"{to}.log"
        log.unlink(missing_ok=True)
        reader = measure.Lines([TOOLS / "passthrough", self.bed.kafka.bootstrap,
                                f"{prefix}.oc10.oc_filecache", to, COMMIT_RECORDS, rows], log)
        try:
            first = reader.word("first", 60)
            last = reader.word("end", 600)
            return figures(reader.pid, reader.began, *((t, int(n[0])) for t, n in (first, last)))
        finally:
            reader.stop()

    # ---- the parts

    def throughput(self):
        rows, runs = self.args.rows, {"pass-through": [], "lockstep-transform": []}
        for i in range(RUNS):
            prefix = f"t{i}"
            self.fill(prefix, rows)
            runs["pass-through"].append(self.passthrough(prefix, f"through{i}", rows))
            runs["lockstep-transform"].append(self.transform(prefix, rows))
            self.say(f"throughput: { {k: v[-1]['rows_per_s'] for k, v in runs.items()} }")
        for name, taken in runs.items():
            self.keep("throughput", name, median(taken))

    def memory(self):
        """The most memory ever held, with few files and with many."""
        for name, rows in (("few files", self.args.rows // 5), ("many files", self.args.rows)):
            prefix = f"m{rows}"
            self.fill(prefix, rows)
            self.keep("memory", name, self.transform(prefix, rows))

    def latency(self):
        """Row to record; the limit first, then ours, on the same broker; twice: with rows as the
        actions of users write them, some after another in one home, and each in another home."""
        for i, (name, run_of) in enumerate(itertools.product(PROGRAMS, (ACTION, 1))):
            said = name if run_of > 1 else f"{name}, scattered"
            self.keep("latency", said, self.paced(name, f"latency{i}", run_of))
        self.commits()

    def commits(self):
        """What the broker takes for a transaction of so many partitions, with nothing else to do."""
        self.topics(("commits", 64))
        for n in (1, 8, 64):
            said = run([TOOLS / "commits", self.bed.kafka.bootstrap, "commits", n, 200, COMMIT_MS],
                       "commits")
            self.keep("commits", f"{n} partitions", json.loads(said.splitlines()[-1]))

    def paced(self, name, prefix, run_of):
        times, stages = BENCH / "run" / f"{prefix}.times", BENCH / "run" / f"{prefix}.stages"
        stages.unlink(missing_ok=True)
        os.environ.update(BENCH_STAGES=str(stages), LD_PRELOAD=str(TOOLS / "stages.so"))
        try:
            program = self.paced_program(name, prefix)
        finally:
            del os.environ["LD_PRELOAD"]
        try:
            said = run(
                ["env", f"BENCH_TIMES={times}", TOOLS / "rows", self.bed.kafka.bootstrap, prefix,
                 "pace", LATENCY_ROWS, LATENCY_RATE, run_of], "latency")
            out = json.loads(said.splitlines()[-1])  # before it librdkafka's words, where it has any
        finally:
            program.stop()
        return {**out, "stages": stages_of(times, stages)}

    def paced_program(self, name, prefix):
        if name == "lockstep-transform":
            program = Transform(self.bed, prefix)
            self.fill(prefix, 5000)
            program.start()
            program.taken(5000)
            return program
        self.topics(*((f"{prefix}.{name}", PARTITIONS)
                      for name in ("oc10.oc_filecache", "cs3.resource")))
        return measure.Lines([
            TOOLS / "passthrough", self.bed.kafka.bootstrap, f"{prefix}.oc10.oc_filecache",
            f"{prefix}.cs3.resource", COMMIT_RECORDS, LATENCY_ROWS, COMMIT_MS],
            BENCH / "run" / f"{prefix}.log")

    # ---- what comes of it

    def ratios(self):
        def ratio(part, a, b, key):
            try:
                return round(self.results[part][a][key] / self.results[part][b][key], 4)
            except KeyError:
                return None
        p99 = self.results.get("latency", {}).get("lockstep-transform", {}).get("p99_ms")
        return {"throughput_vs_passthrough":
                    ratio("throughput", "lockstep-transform", "pass-through", "rows_per_s"),
                "cpu_vs_passthrough":
                    ratio("throughput", "lockstep-transform", "pass-through", "cpu_s"),
                "memory_many_vs_few": ratio("memory", "many files", "few files", "max_rss_mb"),
                "latency_p99_beyond_commit_ms": p99 and round(p99 - COMMIT_MS, 2),
                "latency_p99_vs_passthrough":
                    ratio("latency", "lockstep-transform", "pass-through", "p99_ms")}

    def run(self):
        facts = machine()
        TOOLS.mkdir(parents=True, exist_ok=True)
        run(["make", "--no-print-directory", "bench-tools"], "building the bench's programs",
            cwd=fetch.ROOT)
        for parts in (("throughput", "memory"), ("latency",)):
            todo = [part for part in parts if part in self.args.only]
            if not todo:
                continue
            self.bed.kafka = Broker(BENCH / "run" / "kafka", settled="latency" in todo)
            try:
                self.bed.kafka.start()
                for part in todo:
                    getattr(self, part)()
            finally:
                self.bed.kafka.stop()
        out = {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": facts, "rows": self.args.rows,
               "commit_ms": COMMIT_MS, "commit_records": COMMIT_RECORDS, **self.results,
               "ratios": self.ratios()}
        (BENCH / "transform.json").write_text(json.dumps(out, indent=2) + "\n")
        return out


STAGES = ("polled", "offsets set out", "offsets taken", "commit answered", "read")


def stages_of(times, stages):
    """For each stage the time that rows take from the one before it: p50, p99, most, in ms; and
    how much of the slowest hundredth's time it is on average."""
    passed = {}
    for line in stages.read_text().splitlines():
        row, polled, _begun, offsets, taken, _commit, answered = map(int, line.split())
        passed[row] = (polled, offsets, taken, answered)
    took = []
    for line in times.read_text().splitlines():
        row, sent, read = map(int, line.split())
        if row in passed:
            at = (sent, *passed[row], read)
            took.append([(b - a) / 1e6 for a, b in zip(at, at[1:])])
    slow = sorted(took, key=sum)[-max(1, len(took) // 100):]
    out = {}
    for i, name in enumerate(STAGES):
        each = sorted(t[i] for t in took)
        out[name] = {"p50_ms": round(each[len(each) // 2], 2),
                     "p99_ms": round(each[len(each) * 99 // 100], 2),
                     "max_ms": round(each[-1], 2),
                     "of_the_slowest_ms": round(sum(t[i] for t in slow) / len(slow), 2)}
    return out


def median(runs):
    return sorted(runs, key=lambda r: r["rows_per_s"])[len(runs) // 2]


def table(out):
    """The figures as docs/performance.md has them."""
    lines = ["| | rows/s | wall s | CPU s | most memory MB |", "|---|---:|---:|---:|---:|"]
    for part in ("throughput", "memory"):
        for name, f in out.get(part, {}).items():
            lines.append(f"| {part}: {name} | {f['rows_per_s']} | {f['wall_s']} | {f['cpu_s']} | "
                         f"{f['max_rss_mb']} |")
    lines += ["", f"| row to record, {LATENCY_RATE} rows/s | p50 ms | p99 ms | most ms |",
              "|---|---:|---:|---:|"]
    for name, f in out.get("latency", {}).items():
        lines.append(f"| {name} | {f.get('p50_ms')} | {f.get('p99_ms')} | {f.get('max_ms')} |")
    stages = [(name, f["stages"]) for name, f in out.get("latency", {}).items() if "stages" in f]
    if stages:
        lines += ["", "| of these, p50 and p99 ms | " + " | ".join(n for n, _ in stages) + " |",
                  "|---|" + "---:|" * len(stages)]
        lines += [f"| {s} | " + " | ".join(f"{f[s]['p50_ms']}, {f[s]['p99_ms']}"
                                           for _, f in stages) + " |" for s in STAGES]
    commits = out.get("commits", {})
    if commits:
        lines += ["", "| transactions alone, p50 and p99 ms | " + " | ".join(commits) + " |",
                  "|---|" + "---:|" * len(commits)]
        lines += [f"| {s} | " + " | ".join(f"{f[s]['p50_ms']}, {f[s]['p99_ms']}"
                                           for f in commits.values()) + " |"
                  for s in next(iter(commits.values()))]
    lines += ["", "| ratio | |", "|---|---:|"]
    lines += [f"| {name} | {value} |" for name, value in out["ratios"].items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, default=1500000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--docs", action="store_true", help="figures into docs/performance.md too")
    args = parser.parse_args()
    if not set(args.only) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    if not (BIN / "lockstep-transform").is_file():
        sys.exit("bench: build first (make)")
    (BENCH / "run").mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    try:
        out = Bench(args).run()
    except BedError as e:
        sys.exit(f"bench: {e}")
    print(table(out))
    if args.docs:
        write_docs("transform", out, f"Kafka {fetch.KAFKA} on it too; {out['rows']} rows.",
                   table(out))
    print(f"\nbench: {BENCH / 'transform.json'}")


if __name__ == "__main__":
    main()
