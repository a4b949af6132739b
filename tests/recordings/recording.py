"""
A recording of a real ownCloud 10: what happened, and what must be there at the end.

A folder holds start.sql.zst, binlog.zst, start-data.tar.zst, end-data.tar.zst and
expected.jsonl.zst (the end state, one JSON object a line). The rows speak of a data directory
/srv/oc10/data; here it lies elsewhere, and [map] says so.

Replay: start.sql is loaded, Lockstep takes its snapshot and copies the start's files; then the
end's files take their place and the binlog is fed to the server by mariadb-binlog, which writes it
again as its own. Contents in between are in neither archive: such states are passed over, or
parked until the newer row comes.
"""

import json
import subprocess
import tarfile
from pathlib import Path

from bed.database import DATABASE
from bed.process import run

HOME = "/srv/oc10/data"


class Recording:
    def __init__(self, folder):
        self.folder = Path(folder)
        self.name = self.folder.name

    def _unpacked(self, name, work):
        out = Path(work) / name
        run(["zstd", "-dqf", self.folder / f"{name}.zst", "-o", out], f"unpacking {name}")
        return out

    def load_start(self, database, work):
        """The tables as they were, into an empty database."""
        database.load(self._unpacked("start.sql", work))

    def unpack(self, which, data, work):
        """The data directory of the start or the end, in place of what is there."""
        data = Path(data)
        fresh = data.with_name(data.name + ".new")
        fresh.mkdir()
        archive = self._unpacked(f"{which}-data.tar", work)
        with tarfile.open(archive) as tar:
            tar.extractall(fresh)
        archive.unlink()
        if data.exists():
            data.rename(data.with_name(data.name + ".old"))
        fresh.rename(data)

    def feed(self, database, work, own_gtids=True):
        """The binlog, through the server, into its own binlog; its GTIDs stay, or are new ones."""
        binlog = self._unpacked("binlog", work)
        text = subprocess.run(["mariadb-binlog", "--no-defaults", str(binlog)],
                              stdout=subprocess.PIPE, check=True).stdout
        if not own_gtids:
            text = b"\n".join(line for line in text.split(b"\n")
                              if b"SET @@session.gtid_" not in line)
        (Path(work) / "binlog.sql").write_bytes(text)
        database.load(Path(work) / "binlog.sql", DATABASE)

    def expected(self, *kinds):
        text = subprocess.run(["zstd", "-dqc", self.folder / "expected.jsonl.zst"],
                              capture_output=True, check=True).stdout.decode()
        rows = (json.loads(line) for line in text.splitlines())
        return [row for row in rows if row["kind"] in kinds]
