"""
One HTML page about the three stages, for those without Grafana: lag over the last minutes, the
snapshot's progress, what is open, parked and dead.

It is drawn from the daemons' status documents alone and needs nothing else: no script, no image, no
other server; the browser asks again every two seconds. What can go wrong: a document says something
odd (a cause from a target's answer, a reason with a file's name in it): all text is escaped, a number
that is none counts as 0. A stage that does not answer keeps its last lag and is told of as silent.
"""

import collections
import html
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

STAGES = ("capture", "transform", "apply")
KEPT = 300  # looks, one a second
WIDTH, HEIGHT = 600, 80
WAITING = ("queued", "in-flight")  # work, not parked
_STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em auto; max-width: 60em; padding: 0 1em; color: #222 }
table { border-collapse: collapse } td, th { padding: .2em 1em .2em 0; text-align: left }
td.n { text-align: right } svg { background: #f4f4f4; display: block }
.bad { color: #b00; font-weight: bold } .good { color: #070 }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd } svg { background: #282828 } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def number(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def part(document, name):
    """An object in a document; {} when there is something else."""
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def text(value):
    return html.escape(str(value), quote=True)


def seconds(value):
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


class History:
    """What the stages said, once a second: the last documents and the lags before."""

    def __init__(self, status):
        self.status = status  # a function: stage -> document, {} for none
        self.lags = {stage: collections.deque(maxlen=KEPT) for stage in STAGES}
        self.last = {stage: {} for stage in STAGES}
        self.heard = {stage: None for stage in STAGES}

    def look(self, now=None):
        now = time.time() if now is None else now
        for stage in STAGES:
            said = self.status(stage)
            if isinstance(said, dict) and said:
                self.last[stage], self.heard[stage] = said, now
            if self.heard[stage] is not None:
                self.lags[stage].append(self.lag(stage, now))

    def silent(self, stage, now):
        return self.heard[stage] is None or now - self.heard[stage] > 3

    def lag(self, stage, now):
        """Seconds; a stage that says nothing falls behind all the same."""
        age = now - self.heard[stage]
        return number(self.last[stage].get("lag_us")) / 1e6 + (age if age > 3 else 0)


def plot(stage, lags):
    """The lags as a line, the newest at the right; its highest value is the height."""
    top = max([1.0, *lags])
    step = WIDTH / (KEPT - 1)
    start = KEPT - len(lags)
    points = " ".join(f"{(start + i) * step:.1f},{HEIGHT - lag / top * (HEIGHT - 4):.1f}"
                      for i, lag in enumerate(lags))
    return (f'<svg id="lag-{stage}" width="{WIDTH}" height="{HEIGHT}" role="img">'
            f"<title>lag of {stage}, at most {seconds(top)}</title>"
            f'<polyline points="{points}" fill="none" stroke="#36c" stroke-width="2"/></svg>')


def bar(snapshot):
    state = snapshot.get("state", "none")
    rows, estimate = number(snapshot.get("rows")), number(snapshot.get("estimate"))
    done = 1.0 if state == "done" else min(rows / estimate, 1.0) if estimate > 0 else 0.0
    return (f'<p id="snapshot">Snapshot: {text(state)}, {rows} rows '
            f'<progress max="100" value="{done * 100:.0f}">{done:.0%}</progress></p>')


def causes(title, name, found):
    rows = "".join(f'<tr><td>{text(cause)}</td><td class="n">{number(n)}</td></tr>'
                   for cause, n in sorted(found.items()) if cause not in WAITING and number(n))
    return (f'<h2>{title}</h2><table id="{name}">{rows}</table>' if rows
            else f'<h2>{title}</h2><p id="{name}">none</p>')


def row(history, stage, now):
    said = history.last[stage]
    silent = history.silent(stage, now)
    well = not silent and said.get("ready") is True
    word = "silent" if silent else "ready" if well else said.get("why") or "not ready"
    balance = number(said.get("balance"))
    lag = seconds(history.lags[stage][-1]) if history.lags[stage] else "-"
    return (f'<tr id="{stage}"><th>{stage}</th><td class="{"good" if well else "bad"}">{text(word)}</td>'
            f'<td class="n">{lag}</td><td class="n">{number(said.get("rate")):.0f}</td>'
            f'<td class="n">{number(part(said, "counters").get("in"))}</td>'
            f'<td class="n{" bad" if balance else ""}">{balance}</td></tr>')


def draw(history, now=None):
    now = time.time() if now is None else now
    apply = history.last["apply"]
    dead = collections.Counter()
    for stage in STAGES:
        for cause, n in part(history.last[stage], "dead").items():
            dead[f"{stage}: {cause}"] += number(n)
    rows = "".join(row(history, stage, now) for stage in STAGES)
    plots = "".join(f"<h3>{stage}</h3>{plot(stage, history.lags[stage])}" for stage in STAGES)
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="refresh" content="2"><title>Lockstep</title>'
        f"<style>{_STYLE}</style></head><body><h1>Lockstep</h1><table>"
        "<tr><th>stage</th><th>state</th><th>behind</th><th>a second</th><th>in</th>"
        f"<th>balance</th></tr>{rows}</table>"
        f"{bar(part(history.last['capture'], 'snapshot'))}"
        f'<p>Open at apply: <span id="open">{number(apply.get("open"))}</span>, sweeps that wait: '
        f'<span id="sweeps">{number(apply.get("sweeps_waiting"))}</span></p>'
        f"{causes('Parked', 'parked', part(apply, 'parked'))}{causes('Dead letters', 'dead', dead)}"
        f"<h2>Behind, the last five minutes</h2>{plots}</body></html>")


class Page:
    """Serves the page at http://127.0.0.1:port/ and looks at the stages once a second."""

    def __init__(self, status, port=0):
        self.history = History(status)
        self.text = draw(self.history)
        self.ending = threading.Event()
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                body = page.text.encode()
                found = self.path == "/"
                self.send_response(200 if found else 404)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Security-Policy", _POLICY)
                self.send_header("Content-Length", str(len(body) if found else 0))
                self.end_headers()
                if found:
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        self.threads = [threading.Thread(target=self.server.serve_forever, daemon=True),
                        threading.Thread(target=self._look, daemon=True)]

    def _look(self):
        while not self.ending.wait(1.0):
            self.history.look()
            self.text = draw(self.history)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
