"""Campaigns are programs, so that children are forked from one thread that has imported everything."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.faults.venue import ALPACA, VARIABLE, Venue

ROOT = Path(__file__).resolve().parents[2]


def played(module: str, *words: str, venue: Venue = ALPACA) -> Any:
    """Run a campaign's program at a venue, and return what it says; its clocks and sessions are not the tests' own."""
    command = [sys.executable, "-m", f"tests.faults.{module}", *words]
    environ = os.environ | {VARIABLE: venue.name}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1800, check=False, env=environ)
    assert (done.returncode in (0, 1), bool(done.stdout)) == (True, True), done.stderr
    return json.loads(done.stdout)
