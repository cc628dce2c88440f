"""Campaigns are programs, so that children are forked from one thread that has imported everything."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def played(module: str, *words: str) -> Any:
    """Run a campaign's program, whose clocks and sessions are not the tests' own, and return what it says."""
    command = [sys.executable, "-m", f"tests.faults.{module}", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False)
    assert (done.returncode in (0, 1), bool(done.stdout)) == (True, True), done.stderr
    return json.loads(done.stdout)
