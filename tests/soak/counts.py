"""
How often: a few times in CI, as often as it takes in `make soak`, which sets SOAK_<NAME>.

Each test that counts also says what it did, for the table that soak prints: a line of JSON in the
file that $SOAK_SUMMARY names.
"""

import json
import os
import random

SEED = int(os.environ.get("SOAK_SEED", "4"))


def count(name, in_ci):
    return int(os.environ.get(f"SOAK_{name.upper()}", in_ci))


def those(in_ci):
    """(name, count) of those that are run: in CI the ones with a count, in soak all."""
    return [(name, n) for name, n in in_ci.items() if n or "SOAK_SUMMARY" in os.environ]


def seeded(*what):
    """A source of random numbers that gives the same ones for the same words."""
    return random.Random(f"{SEED} {what}")


def summary(what, **numbers):
    """One row of soak's table; in CI it is only printed (pytest -s)."""
    line = json.dumps({"what": what, **numbers})
    print(line)
    if os.environ.get("SOAK_SUMMARY"):
        with open(os.environ["SOAK_SUMMARY"], "a") as f:
            f.write(line + "\n")
