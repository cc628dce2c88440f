"""Measure how soon `tradebot exchange serve` answers a request after it is typed, in a new folder and once more.

A new folder's market is made first, from the exchange calendar on. The client tries until it is answered.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized

RUNS = sized(5, 1)
BOUND_S = 1.5
PROGRAM = Path(sys.executable).with_name("tradebot")
STATE = Path(__file__).parents[1] / "state"


def answered_s(folder: Path) -> float:
    """Return the seconds from starting the command to its first answered request, and end it."""
    began = time.perf_counter()
    command = [str(PROGRAM), "exchange", "serve", "--state-dir", str(folder), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None
        data = json.loads(served.stdout.readline())["data"]
        connection = http.client.HTTPConnection(data["url"].removeprefix("http://"), timeout=10)
        keys = {"APCA-API-KEY-ID": data["key"], "APCA-API-SECRET-KEY": data["secret"]}
        connection.request("GET", "/v2/clock", headers=keys)
        assert connection.getresponse().status == 200
        took_s = time.perf_counter() - began
        connection.close()
        served.terminate()
    return took_s


def main() -> None:
    """Serve a few times, and print medians."""
    fresh_s, again_s = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as name:
            folder = Path(name) / "served"
            fresh_s.append(answered_s(folder))
            again_s.append(answered_s(folder))
    show(
        f"exchange serve: from typing to the first answer, medians of {RUNS}",
        [
            Figure("in a new folder", f"worst {max(fresh_s):.2f} s", statistics.median(fresh_s), "s", BOUND_S),
            Figure("served again", f"worst {max(again_s):.2f} s", statistics.median(again_s), "s", BOUND_S),
        ],
    )


if __name__ == "__main__":
    main()
