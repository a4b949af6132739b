"""
Every query of every panel of packaging/grafana, asked of a Prometheus: no panel without data.

The scenario of the dashboards and `make demo` ask in the same way. What Grafana puts into a query
(the job that was chosen, some scrapes' time) is filled in here.
"""

import json

from .fetch import ROOT
from .process import BedError, wait_until

FOLDER = ROOT / "packaging/grafana/dashboards"
VARIABLES = {"$job": "lockstep", "$__rate_interval": "2m"}


def queries():
    """(dashboard, panel, query) of all there are."""
    for path in sorted(FOLDER.glob("*.json")):
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                expr = target["expr"]
                for name, value in VARIABLES.items():
                    expr = expr.replace(name, value)
                assert "$" not in expr, f"{path.name}: an unknown variable in {expr}"
                yield board["title"], panel["title"], expr


def without_data(prometheus):
    return [(board, panel, expr) for board, panel, expr in queries() if not prometheus.query(expr)]


def wait_for_data(prometheus, seconds, between=lambda: None):
    """
    Returns how many queries there are when all have data; BedError names those that have none.
    `between` is called after each look that found some: a rate needs changes between two scrapes.
    """
    missing = []

    def all_there():
        missing[:] = without_data(prometheus)
        if missing:
            between()
        return not missing
    try:
        wait_until(all_there, seconds, "all panels to have data", 1)
    except BedError as e:
        lines = "".join(f"\n  {board}, {panel}: {expr}" for board, panel, expr in missing)
        raise BedError(f"{e}; without any:{lines}") from None
    return len(list(queries()))
