"""Runs side by side: what becomes of them when their comparison is killed."""

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import time

from minisi.lab.jobs import start
from minisi.run.config import Config


def play(one, budget):
    for _ in range(3000):
        print("at work", flush=True)
        time.sleep(0.01)


if __name__ == "__main__":
    start(play, (Config(out=sys.argv[1]), None)).join()
"""


def wait_for(told, seconds=30):
    """Wait until something is true."""
    end = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_runs_side_by_side_end_when_their_comparison_is_killed(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    log = tmp_path / "run" / "log.txt"
    command = [sys.executable, program, tmp_path / "run"]
    comparison = subprocess.Popen(command, env={"PYTHONPATH": str(ROOT)})
    wait_for(lambda: log.exists() and "at work" in log.read_text())
    comparison.kill()
    comparison.wait()

    def is_still():
        size = log.stat().st_size
        time.sleep(0.5)
        return log.stat().st_size == size

    wait_for(is_still, 10)
