"""
make bench-capture: capture beside its peers, all on one binlog of an ownCloud 10.

    python3 tests/bench/capture.py [--rows N] [--only PART,...] [--merge] [--without-peers]
                                   [--prepare] [--docs]

Parts: stream, unwatched, latency, snapshot, large. Writes build/bench/capture.json and prints the table.
README.md beside this file says what is measured and how.
"""

import argparse
import json
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
import peers  # noqa: E402
from bed.daemons import BIN, Daemons  # noqa: E402
from source import Broker, Source, machine, write_docs  # noqa: E402

BENCH = fetch.ROOT / "build" / "bench"
TOOLS = BENCH / "bin"
PARTS = ("stream", "unwatched", "latency", "snapshot", "large")
REPEAT = 3  # of what takes seconds
ROUNDS = 5  # of what takes a fraction of one
LARGE_ROWS = 2000000
LATENCY_ROWS, LATENCY_RATE = 10000, 500
ALONE = "lockstep-capture, by itself"
LIVE_ROWS = 5000  # of the database that is written to while it is followed


class Lockstep:
    """lockstep-capture on a source, and what its position topic says about how far it came."""

    def __init__(self, bed, source, prefix, sets=None):
        bed.mariadb = source
        self.source, self.bootstrap, self.prefix = source, bed.kafka.bootstrap, prefix
        self.topic = f"{prefix}.position"
        folder = BENCH / "run" / prefix
        shutil.rmtree(folder, ignore_errors=True)
        self.site = Daemons(bed, data=folder, prefix=prefix, folder=folder,
                            sets=sets)

    def begin_at(self, place):
        """A position as capture itself keeps it."""
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for made in admin.create_topics([NewTopic(self.topic, 1, 1)]).values():
            made.result(30)
        position = {"version": 1, "seq": {"epoch": 1, "counter": 0}, "gtid": "", "lost": False,
                    "file": place[0], "pos": place[1], "row": 0, "ts_us": 0}
        producer = confluent_kafka.Producer({"bootstrap.servers": self.bootstrap})
        producer.produce(self.topic, key="source", value=json.dumps(position))
        producer.flush()

    def positions(self, until, seconds):
        """(time, position) of each commit, up to the first one that `until` is true for."""
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": self.bootstrap, "group.id": "bench", "enable.auto.commit": False,
            "isolation.level": "read_committed", "allow.auto.create.topics": True})
        consumer.assign([confluent_kafka.TopicPartition(self.topic, 0, 0)])
        out, end = [], time.time() + seconds
        try:
            while time.time() < end:
                message = consumer.poll(1)
                if not self.process.alive():
                    self.process.fail("ended")
                if message is None or message.error() or message.key() != b"source":
                    continue
                out.append((message.timestamp()[1] / 1000, json.loads(message.value())))
                if until(out[-1][1]):
                    return out
        finally:
            consumer.close()
        raise BedError(f"capture did not come to its end within {seconds} s: {out[-1:]}")

    def start(self):
        self.began = time.time()
        self.process = self.site.spawn("capture")

    def at_end(self, position):
        here = position["file"], position["pos"]
        return here >= self.source.end_at[:2]

    def taken(self, commits, rows_of):
        """The figures between the first commit with rows and the first with all of them."""
        total = rows_of(commits[-1][1])
        first = next((t for t, p in commits if rows_of(p)), commits[0][0])
        last = next(t for t, p in commits if rows_of(p) == total)
        return measure.taken(self.process.pid, self.began, first, last, total)

    def stop(self):
        self.site.stop()


def published(position):
    return position["counters"]["published"] if "counters" in position else 0


def median(runs, key="cpu_s"):
    """The run in the middle."""
    return sorted(runs, key=lambda r: r[key])[len(runs) // 2]


class Bench:
    def __init__(self, args):
        self.args, self.results, self.left_out = args, {}, {}
        if args.merge:
            known = json.loads((BENCH / "capture.json").read_text())
            self.results = {part: known[part] for part in PARTS
                            if part in known and part not in args.only}
        self.bed = Bed(folder=BENCH / "run" / "bed", mariadb=False, kafka=False)
        self.peers = {}

    # ---- what is needed

    def build(self):
        TOOLS.mkdir(parents=True, exist_ok=True)
        run(["make", "--no-print-directory", "bench-tools"], "building the bench's programs",
            cwd=fetch.ROOT)
        if self.args.without_peers:
            self.left_out = {"peers": "--without-peers"}
            return
        for kind in (peers.Debezium, peers.Maxwell, peers.Canal):
            try:
                self.peers[kind] = kind(BENCH / "peers")
            except BedError as e:
                self.left_out[kind.name] = str(e).splitlines()[0]
                print(f"bench: without {kind.name}: {e}", file=sys.stderr)

    def servers(self):
        self.bed.kafka = Broker(BENCH / "run" / "kafka")
        self.bed.kafka.start()
        self.busy = Source(BENCH / "busy", "busy", self.args.rows)
        self.noise = Source(BENCH / "noise", "noise", max(self.args.rows // 3, 1000))
        self.live = Source(BENCH / "live", "busy", LIVE_ROWS)
        self.huge = Source(BENCH / "large", "large", min(LARGE_ROWS, self.args.rows))
        for source in (self.busy, self.noise, self.live, self.huge):
            self.say(f"writing the binlog: {source.kind_of_rows}, {source.wanted['rows']} rows")
            source.prepare(TOOLS / "traffic")
            source.bootstrap = self.bed.kafka.bootstrap

    def say(self, text):
        print(f"bench: {time.strftime('%H:%M:%S')} {text}", flush=True)

    def log(self, name):
        path = BENCH / "run" / f"{name}.log"
        path.unlink(missing_ok=True)
        return path

    def keep(self, part, name, figures):
        self.results.setdefault(part, {})[name] = figures
        self.say(f"{part}, {name}: {figures}")

    # ---- the parts

    def packets(self, source):
        command = [TOOLS / "packets", source.port, source.user, source.password,
                   *source.start_at[:2]]
        return measure.first_to_end(command, self.log("packets"), self.rows_in(source))

    @staticmethod
    def rows_in(source):
        return source.facts["rows"] + source.facts["noise"]

    def follow(self, source, prefix, rows_of):
        """Capture from the binlog's beginning to its end."""
        lockstep = Lockstep(self.bed, source, prefix)
        lockstep.begin_at(source.start_at)
        lockstep.start()
        try:
            commits = lockstep.positions(lockstep.at_end, 600)
            return lockstep.taken(commits, rows_of), commits[-1][1]
        finally:
            lockstep.stop()

    def stream(self):
        runs, packets = [], []
        for i in range(REPEAT):
            packets.append(self.packets(self.busy))
            figures, last = self.follow(self.busy, f"stream{i}", published)
            runs.append(figures)
        for name, taken in (("packets only", packets), ("lockstep-capture", runs)):
            self.keep("stream", name, {**median(taken), "rounds": [r["cpu_s"] for r in taken]})
        watched = last["counters"]["watched"]
        if published(last) != watched:
            raise BedError(f"capture published {published(last)} of {watched} rows")
        start = self.busy.start_at
        if peers.Canal in self.peers:
            self.keep("stream", peers.Canal.name, measure.first_to_end(
                self.peers[peers.Canal].command(self.busy, start, watched), self.log("canal"),
                watched))
        if peers.Maxwell in self.peers:
            self.keep("stream", peers.Maxwell.name, measure.count_lines(
                self.peers[peers.Maxwell].command(self.busy, start), self.log("maxwell"), watched))
        if peers.Debezium in self.peers:
            self.keep("stream", peers.Debezium.name, measure.first_to_end(
                self.debezium("stream", watched, start), self.log("debezium"), watched))

    def debezium(self, name, rows, start=None, source=None):
        return self.peers[peers.Debezium].command(
            source or self.busy, BENCH / "run" / f"debezium-{name}", f"debezium-{name}", rows, start)

    def idle_cpu(self, prefix, seconds):
        """What capture takes in this time, its start included, with nothing to read."""
        idle = Lockstep(self.bed, self.noise, prefix)
        idle.begin_at(self.noise.end_at)
        idle.start()
        try:
            time.sleep(seconds)
            return measure.cpu_seconds(idle.process.pid)
        finally:
            idle.stop()

    def unwatched(self):
        """CPU seconds beyond those of a capture that has nothing to read for as long, in rounds."""
        runs = {"packets only": [], "lockstep-capture": []}
        for i in range(ROUNDS):
            runs["packets only"].append(self.packets(self.noise))
            began = time.time()
            figures, _ = self.follow(self.noise, f"unwatched{i}", published)
            idle = self.idle_cpu(f"idle{i}", time.time() - began)
            runs["lockstep-capture"].append({
                "rows": self.rows_in(self.noise), "idle_cpu_s": round(idle, 3),
                "cpu_s": round(figures["cpu_s"] - idle, 3), "max_rss_mb": figures["max_rss_mb"],
                "load": figures["load"]})
        for name, taken in runs.items():
            self.keep("unwatched", name, {**median(taken), "rounds": [r["cpu_s"] for r in taken]})

    def latency(self):
        """Beside Debezium, at the same time; then ours by itself, which is how it will run."""
        if peers.Debezium in self.peers:
            self.timed("beside", {"lockstep-capture": "beside.oc10.oc_filecache",
                                  peers.Debezium.name: "debezium-latency.owncloud.oc_filecache"})
        self.timed("alone", {ALONE: "alone.oc10.oc_filecache"})

    def timed(self, prefix, topics):
        """Commit to consumer, for each of these readers."""
        lockstep, debezium = Lockstep(self.bed, self.live, prefix), None
        lockstep.begin_at(self.live._place())
        lockstep.start()
        try:
            lockstep.site.wait_ready("capture")
            if peers.Debezium.name in topics:
                debezium = measure.Lines(self.debezium("latency", 0, self.live._place(), self.live),
                                         self.log("debezium-latency"))
                self.wake(debezium)
            said = run([TOOLS / "latency", self.live.port, "root", "", self.live.database,
                        self.bed.kafka.bootstrap, LATENCY_ROWS, LATENCY_RATE, *topics.values()],
                       "latency")
        finally:
            if debezium:
                debezium.stop()
            lockstep.stop()
        for name, topic in topics.items():
            self.keep("latency", name, json.loads(said)[topic])

    def wake(self, debezium):
        """Debezium's topic is there once a row went through; it starts reading at its own time."""
        for i in range(60):
            self.live.sql(f"UPDATE oc_filecache SET mtime=mtime+1, etag='wake{i}' LIMIT 1",
                          self.live.database)
            try:
                debezium.word("first", 1)
                return
            except BedError:
                if debezium.child.poll() is not None:
                    raise
        raise BedError("debezium does not begin to follow")

    def snapshot(self):
        rows = sum(int(self.busy.sql(f"SELECT COUNT(*) FROM {table}", self.busy.database)[0][0])
                   for table in peers.WATCHED)
        lockstep = Lockstep(self.bed, self.busy, "snapshot")
        lockstep.start()
        try:
            commits = lockstep.positions(lambda p: p["snapshot"]["state"] == "done", 600)
            self.keep("snapshot", "lockstep-capture", lockstep.taken(
                commits, lambda p: p["snapshot"]["rows"]))
        finally:
            lockstep.stop()
        if peers.Debezium in self.peers:
            self.keep("snapshot", peers.Debezium.name, measure.first_to_end(
                self.debezium("snapshot", rows), self.log("debezium-snapshot"), rows))

    def large(self):
        """One transaction of many rows beside the same rows in small ones, behind it."""
        one = self.huge.wanted["rows"]
        lockstep = Lockstep(self.bed, self.huge, "large")
        lockstep.begin_at(self.huge.start_at)
        lockstep.start()
        try:
            commits = lockstep.positions(lockstep.at_end, 600)
            figures = lockstep.taken(commits, published)
        finally:
            lockstep.stop()

        def per_row(seen):
            return (seen[-1][0] - seen[0][0]) / (published(seen[-1][1]) - published(seen[0][1]))
        seen = [(t, p) for t, p in commits if published(p)]
        # small ones begin with the commit that holds the large one's end
        large = per_row([c for c in seen if published(c[1]) <= one])
        small = per_row([c for c in seen if published(c[1]) >= one])
        self.keep("large", "lockstep-capture", {
            **figures, "transaction_rows": one, "us_per_row_in_large": round(large * 1e6, 2),
            "us_per_row_in_small": round(small * 1e6, 2)})

    # ---- what comes of it

    def ratios(self):
        debezium, ours = peers.Debezium.name, "lockstep-capture"

        def ratio(part, key, other, turn=False):
            figures = self.results.get(part, {})
            try:
                a, b = figures[ours][key], figures[other][key]
            except KeyError:
                return None
            return round(b / a if turn else a / b, 4) if a and b else None

        def in_turn(part):
            figures = self.results.get(part, {})
            return measure.paired(figures.get(ours, {}), figures.get("packets only", {}))
        large = self.results.get("large", {}).get(ours, {})
        return {"cpu_vs_debezium": ratio("stream", "cpu_s", debezium),
                "wall_vs_debezium": ratio("stream", "wall_s", debezium),
                "cpu_vs_packets": in_turn("stream"),
                "unwatched_vs_packets": in_turn("unwatched"),
                "latency_p99_vs_debezium": ratio("latency", "p99_ms", debezium),
                "latency_p99_ms": self.results.get("latency", {}).get(ALONE, {}).get("p99_ms"),
                "snapshot_vs_debezium": ratio("snapshot", "rows_per_s", debezium),
                "row_in_large_vs_small": large and round(
                    large["us_per_row_in_large"] / large["us_per_row_in_small"], 2) or None}

    def write(self, facts):
        out = {"when": time.strftime("%Y-%m-%d %H:%M"), "machine": facts, "rows": self.args.rows,
               "binlog": {s.kind_of_rows: s.facts for s in (self.busy, self.noise)},
               "versions": {"kafka": fetch.KAFKA, "mariadb": self.busy.sql("SELECT VERSION()")[0][0],
                            "librdkafka": librdkafka_version()},
               **self.results, "ratios": self.ratios(), "left_out": self.left_out}
        (BENCH / "capture.json").write_text(json.dumps(out, indent=2) + "\n")
        return out

    def run(self):
        facts = machine()
        self.build()
        try:
            self.servers()
            if self.args.prepare:
                return None
            for part in self.args.only:
                getattr(self, part)()
                out = self.write(facts)
            return out
        finally:
            for server in (getattr(self, "busy", None), getattr(self, "noise", None),
                           getattr(self, "live", None), getattr(self, "huge", None),
                           self.bed.kafka):
                if server:
                    server.stop()


def librdkafka_version():
    """librdkafka as the programs here are linked with it, not confluent-kafka's own."""
    return run(["pkg-config", "--modversion", "rdkafka"], "pkg-config").decode().strip()


def table(out):
    """The figures as docs/performance.md has them."""
    lines = [f"| {'reader':<26} | rows/s | wall s | CPU s | most memory MB |",
             "|---|---:|---:|---:|---:|"]
    for part in ("stream", "unwatched", "snapshot", "large"):
        for name, f in out.get(part, {}).items():
            lines.append(f"| {part}: {name} | {f.get('rows_per_s', '')} | {f.get('wall_s', '')} | "
                         f"{f['cpu_s']} | {f['max_rss_mb']} |")
    lines += ["", "| commit to consumer | p50 ms | p99 ms | most ms |", "|---|---:|---:|---:|"]
    for name, f in out.get("latency", {}).items():
        lines.append(f"| {name} | {f.get('p50_ms')} | {f.get('p99_ms')} | {f.get('max_ms')} |")
    lines += ["", "| ratio | |", "|---|---:|"]
    lines += [f"| {name} | {value} |" for name, value in out["ratios"].items()]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("--rows", type=int, default=3000000)
    parser.add_argument("--only", type=lambda text: text.split(","), default=PARTS)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--prepare", action="store_true",
                        help="only fetch the peers and write the binlogs")
    parser.add_argument("--merge", action="store_true",
                        help="keep the other parts of the last result")
    parser.add_argument("--docs", action="store_true", help="figures into docs/performance.md too")
    args = parser.parse_args()
    if not set(args.only) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}")
    if not (BIN / "lockstep-capture").is_file():
        sys.exit("bench: build first (make)")
    (BENCH / "run").mkdir(parents=True, exist_ok=True)
    try:
        out = Bench(args).run()
    except BedError as e:
        sys.exit(f"bench: {e}")
    if args.prepare:
        return
    print(table(out))
    if args.docs:
        write_docs("capture", out, f"MariaDB {out['versions']['mariadb']}, Kafka "
                   f"{out['versions']['kafka']} and all readers on it; {out['rows']} changes.",
                   table(out))
    print(f"\nbench: {BENCH / 'capture.json'}")


if __name__ == "__main__":
    main()
