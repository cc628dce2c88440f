"""Campaigns are programs, so that children are forked from one thread that has imported everything.

Their exchanges are forked from the nursery of the tests, if it runs:

    python -m tests.faults.programs play kills=1 --seed 1
"""

import gc
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from exchange.tests.kit import nursery
from tests.kit.venues import ALPACA, VARIABLE, CampaignVenue
from tests.suite import calendars

ROOT = Path(__file__).resolve().parents[2]


def played(module: str, *words: str, venue: CampaignVenue = ALPACA) -> Any:
    """Run a campaign's program at a venue, and return what it says; its clocks and sessions are not the tests' own."""
    command = [sys.executable, "-m", "tests.faults.programs", module, *words]
    # Elsewhere an exchange from the nursery does not start; one in a new interpreter does.
    doors, environ = nursery.doors() if venue is ALPACA else {}, os.environ | {VARIABLE: venue.name}
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
        env=environ | doors,
        pass_fds=[int(door) for door in doors.values()],
    )
    assert (done.returncode in (0, 1), bool(done.stdout)) == (True, True), done.stderr
    return json.loads(done.stdout)


def main() -> None:
    """Be the program of a campaign, as `python -m` would be."""
    module = f"tests.faults.{sys.argv[1]}"
    del sys.argv[1]
    # What a campaign imports stays. Searching it for garbage so often would take a tenth of a short campaign's time.
    gc.set_threshold(50_000)
    calendars.know_once()
    with nursery.of_the_tests():
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
