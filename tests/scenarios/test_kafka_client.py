"""
The unit tests of common/ that only a real broker can answer: aborted and open transactions, fencing,
offsets in a transaction. They are built as `make unit` builds them, but in a folder of their own: that one may
be busy with it at this moment. There, without a broker, they are skipped.
"""

import os
import re
import subprocess

from bed.fetch import ROOT

BUILD = "build/broker"
PROGRAM = f"{BUILD}/unit/common/test_kafka_broker"


def test_the_kafka_client_keeps_its_promises_on_a_real_broker(bed):
    sanitizers = "-fsanitize=address,undefined"
    subprocess.run(
        ["make", "-s", "-j2", f"B={BUILD}", f"LDFLAGS={sanitizers}", PROGRAM,
         f"OPT=-O1 -g {sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer"],
        cwd=ROOT, check=True)
    done = subprocess.run([ROOT / PROGRAM], capture_output=True, text=True,
                          env={**os.environ, "LOCKSTEP_TEST_KAFKA": bed.kafka.bootstrap})
    text = done.stdout + done.stderr
    assert done.returncode == 0, text
    assert "SKIPPED" not in text, text
    assert int(re.search(r"\[  PASSED  \] (\d+)", text).group(1)) >= 3, text
