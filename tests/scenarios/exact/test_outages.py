"""
Kafka is away for longer than a session of its groups, stopped in order or killed, while people work: no
daemon ends by it, and nothing is lost.
Each second time the broker is killed.
"""

import signal
import time

from soak.counts import count, summary

TIMES = count("outages", 1)
SESSION_S = 6
SETS = {"kafka.session.timeout.ms": SESSION_S * 1000, "kafka.heartbeat.interval.ms": 2000}


def test_a_kafka_that_is_away_for_longer_than_a_session_ends_no_daemon_and_costs_no_change(new_world):
    world = new_world(sets=SETS)
    broker = world.bed.kafka
    world.work.populate(3, actions=30)
    world.daemons.start()
    world.daemons.wait_snapshot()
    for i in range(TIMES):
        world.work.run(actions=10)
        broker.process.signal(signal.SIGKILL if i % 2 else signal.SIGTERM)
        world.work.run(actions=10)
        time.sleep(SESSION_S + 2)
        broker.stop()
        broker.start()
        world.daemons.check_alive()
    world.drained(180)
    world.daemons.check_alive()
    world.assert_equal()
    summary("Kafka was away for longer than a session", times=TIMES)
