"""
The ledger and its mirror are both lost, while oCIS holds all that was applied: apply refuses to begin
as on its first day.
"""

import pytest
from bed import topics

SETS = {"apply.standby_ms": 2000, "apply.retry_max_ms": 500, "capture.link_secrets": "true"}


def lose(world, *mirror):
    """Somebody deletes the ledger's folder and these topics."""
    assert world.daemons.stop("apply") == {"apply": 0}
    for path in world.daemons.folder.glob("ledger.db*"):
        path.unlink()
    if mirror:
        topics.delete(world.bed.kafka.bootstrap, *(f"{world.prefix}.{name}" for name in mirror))


def refused(world):
    """What apply says when it is started, and its exit status."""
    process = world.daemons.spawn("apply")
    status = process.wait(60)
    last = [line for line in world.daemons.log_lines("apply") if line.get("event") == "fatal"][-1]
    return status, last["cause"]


@pytest.mark.parametrize("mirror", [True, False])
def test_apply_does_not_begin_as_on_its_first_day_where_it_has_worked_before(new_world, mirror):
    world = new_world(sets={**SETS, "apply.mirror": str(mirror).lower()})
    world.work.populate(2, actions=5)
    world.daemons.start()
    world.daemons.wait_snapshot()
    world.drained()
    lose(world, *(("ledger", "applier") if mirror else ()))
    for _ in range(2):
        assert refused(world) == (5, "ledger-lost")
    world.daemons.running.pop("apply")
