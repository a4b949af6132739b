"""
Prometheus of Debian's package, which scrapes once a second: what dashboards and alerts would see.

    with Prometheus(folder, site.ports.values(), rules) as prometheus:
        prometheus.query("up")
"""

import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from .process import Process, free_port

_CONFIG = """
global: {{scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}}
rule_files: [rules.yml]
scrape_configs:
  - job_name: lockstep
    static_configs:
      - targets: [{targets}]
"""


class Prometheus:
    """
    `rules` is a file of rules; `hurry`: its alerts fire without waiting for long, and what they say
    of the last minutes or hours is said of the last seconds.
    """

    def __init__(self, folder, ports, rules, hurry=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = None
        targets = ", ".join(f'"127.0.0.1:{port}"' for port in ports)
        (self.folder / "prometheus.yml").write_text(_CONFIG.format(targets=targets))
        text = Path(rules).read_text()
        if hurry:
            text = re.sub(r"^( +for:) \w+$", r"\1 1s", text, flags=re.M)
            text = re.sub(r"\[\d+[mh]\]", "[10s]", text)
            text = re.sub(r"offset \d+[mh]", "offset 10s", text)
        (self.folder / "rules.yml").write_text(text)

    def start(self):
        self.process = Process("prometheus", [
            "prometheus", f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/data", "--web.enable-lifecycle",
            f"--web.listen-address=127.0.0.1:{self.port}"], self.folder / "server.log")
        self.process.wait_ready(lambda: self.get("/-/ready") is not None, 60)
        return self

    def stop(self):
        if self.process:
            self.process.kill()

    def get(self, path, **args):
        """What it answers, None when it does not; an HTTP error is one of the test."""
        url = f"http://127.0.0.1:{self.port}{path}"
        if args:
            url += "?" + urllib.parse.urlencode(args)
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as e:
            if e.code == 503:
                return None
            raise AssertionError(f"{path} {args}: {e.read().decode()}") from e
        except OSError:
            return None

    def query(self, expr):
        """The samples now: a list of (labels, number); NaN is none."""
        text = self.get("/api/v1/query", query=expr)
        found = json.loads(text)["data"]["result"] if text else []
        pairs = [(sample["metric"], float(sample["value"][1])) for sample in found]
        return [(labels, value) for labels, value in pairs if value == value]

    def firing(self):
        """Names of the alerts that fire."""
        return {labels["alertname"] for labels, _ in self.query('ALERTS{alertstate="firing"}')}

    def fired(self, alert, since):
        """Whether it fires, or has fired after that moment (seconds since 1970)."""
        seconds = max(1, int(time.time() - since))
        return bool(self.query(f'count_over_time(ALERTS{{alertname="{alert}", alertstate="firing"}}'
                               f'[{seconds}s])'))

    def rules(self):
        """Each rule as Prometheus sees it: name, health, lastError, ..."""
        groups = json.loads(self.get("/api/v1/rules"))["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
