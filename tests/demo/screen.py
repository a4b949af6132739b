"""
The demo's one-screen view, drawn from the daemons' status documents.

On a terminal the screen is drawn again in place; elsewhere every few seconds a plain line appears.
Nothing is computed here that the stages do not say themselves.
"""

import collections
import sys
import time

from bed.daemons import STAGES

BAR = 40
WINDOW = 4.0  # seconds over which a rate is taken


def total(causes):
    """Sum of a cause -> number object; work that is merely queued is not parked."""
    return sum(n for cause, n in (causes or {}).items() if cause not in ("queued", "in-flight"))


def seconds(lag_us):
    return f"{lag_us / 1e6:.1f} s" if lag_us is not None else "-"


class Screen:
    def __init__(self, daemons, target, out=sys.stdout, every=3.0):
        self.daemons, self.target, self.out, self.every = daemons, target, out, every
        self.live = out.isatty()
        self.drawn, self.last = 0, 0.0
        self.seen = collections.deque()  # (time, rows) of the last looks

    def _rate(self, rows):
        """Rows a second that capture read in the last few seconds."""
        self.seen.append((time.monotonic(), rows))
        while self.seen[-1][0] - self.seen[0][0] > WINDOW:
            self.seen.popleft()
        (then, before), (now, after) = self.seen[0], self.seen[-1]
        return (after - before) / (now - then) if now > then else 0.0

    def show(self, title, force=False):
        """Draws when it is time to."""
        now = time.monotonic()
        if not force and now - self.last < (0.5 if self.live else self.every):
            return
        self.last = now
        status = {stage: self.daemons.status(stage) for stage in STAGES}
        rate = self._rate(status["capture"].get("counters", {}).get("in", 0))
        if self.live:
            self._draw(self._lines(title, status, rate))
        else:
            self._line(title, status, rate)

    def _lines(self, title, status, rate):
        apply = status["apply"]
        counters = apply.get("counters", {})
        lines = [f"Lockstep: {title}   (target: {self.target.kind})", "",
                 f"{'stage':<12}{'ready':<8}{'lag':>10}{'records in':>14}"]
        for stage in STAGES:
            s = status[stage]
            lines.append(f"{stage:<12}{'yes' if s.get('ready') else 'no':<8}"
                         f"{seconds(s.get('lag_us')):>10}{s.get('counters', {}).get('in', 0):>14}")
        return lines + [
            "", f"rows/s {rate:8.0f}   applied {counters.get('applied', 0):8}   "
                f"equal {counters.get('equal', 0):6}   superseded {counters.get('superseded', 0):7}",
            f"open {apply.get('open', 0):10}   parked {total(apply.get('parked')):9}   "
            f"dead letters {total(apply.get('dead')) + total(status['transform'].get('dead')):4}",
            "", "snapshot " + self._bar(status["capture"].get("snapshot", {}))]

    @staticmethod
    def _bar(snapshot):
        if snapshot.get("state", "none") == "none":
            return "not begun"
        rows, estimate = snapshot.get("rows", 0), snapshot.get("estimate", 0)
        part = 1.0 if snapshot["state"] == "done" else min(rows / estimate, 1.0) if estimate else 0
        full = int(part * BAR)
        return f"[{'#' * full}{'.' * (BAR - full)}] {part:4.0%}  {rows} rows"

    def _draw(self, lines):
        if self.drawn:
            self.out.write(f"\033[{self.drawn}A")
        self.out.write("".join(f"\033[2K{line}\n" for line in lines))
        self.out.flush()
        self.drawn = len(lines)

    def _line(self, title, status, rate):
        apply = status["apply"]
        lags = " ".join(f"{s} {seconds(status[s].get('lag_us'))}" for s in STAGES)
        print(f"{title}: {rate:.0f} rows/s, lag {lags}, "
              f"applied {apply.get('counters', {}).get('applied', 0)}, "
              f"open {apply.get('open', 0)}, parked {total(apply.get('parked'))}, "
              f"dead {total(apply.get('dead'))}, "
              f"snapshot {status['capture'].get('snapshot', {}).get('state', 'none')}",
              file=self.out, flush=True)
