"""Measure whether `serve` takes more memory the longer it runs: with flow, smart money and a learned policy.

Each is served in a process of its own, in the sandbox at full speed and with paper fills, and weighed after the first
pass of each day. The law: after sixty sessions it takes at most a tenth more than after five. It takes hours;
`python -m benchmarks.serve_growth flow` measures one of them alone.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.support.figures import Figure, show
from benchmarks.support.sizes import sized
from commands.init import making as init
from commands.serve import verb as serve
from jobs.runner import Kind, Line
from papervenue import process
from tests.kit.fakes.networks import Signed, constant
from tradebot.adapters.state import resources
from tradebot.app.loading import Options
from tradebot.app.wiring import opened

FIRST, LAST = sized((5, 60), (1, 2))
BOUND = 1.1
SPEED = 1_000_000
WEIGHED = "weighed"
STATE = Path(__file__).parents[1] / "state"
SHARED = {
    "mode": "sandbox",
    "sandbox": {"sessions": LAST + 2, "fill": {"model": "paper"}},
    # Chores are their own processes, which leave nothing here.
    "timetable": dict.fromkeys(["audit", "backup", "parity", "outcomes", "report", "summary"]),
}
COINS = ["PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD", "PF_XRPUSD"]


class EnoughError(Exception):
    """Raised out of `serve` on the last morning."""


def flow(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """Return the profile and the settings of a bot that trades shares by flow."""
    return "flow", {"universe": ["AAPL", "MSFT", "NVDA", "SPY"]}


def smart_money(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """Return those of one that trades coins by structures."""
    return "smart_money", {"venue": "kraken_futures", "universe": COINS}


def policy(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """Return those of one that trades a future by a model, which always wants to hold two."""
    signed = Signed(folder)
    return "policy", {"strategies": {"policy": {**signed.settings(signed.write(constant([1.0]))), "mode": "inference"}}}


BOTS: Mapping[str, Callable[[Path], tuple[str, Mapping[str, Any]]]] = {
    "flow": flow,
    "smart_money": smart_money,
    "policy": policy,
}


def weighed(name: str) -> Iterator[int]:
    """Serve one bot on the embedded exchange, and yield what it took each morning, in bytes."""
    found, days = list[int](), set[date]()

    def weigh(line: Line) -> None:
        if line.kind is not Kind.RAN or line.at.date() in days:
            return
        days.add(line.at.date())
        found.append(resources.memory_bytes() or 0)
        if len(found) > LAST:
            raise EnoughError

    with tempfile.TemporaryDirectory(prefix="bench-", dir=STATE) as place:
        state = Path(place) / "bot"
        profile, settings = BOTS[name](Path(place))
        try:
            init.run(str(state), None, "init", {**SHARED, **settings}, profile)
            with opened(Options(str(state)), {}) as app:
                serve.run(app, by="bench", speed=SPEED, tell=weigh)
        except EnoughError:
            pass
        finally:
            process.stop(state / "exchange")
    yield from found


def figures(names: list[str]) -> Iterator[Figure]:
    """Yield the lines of each bot."""
    for name in names:
        done = subprocess.run([sys.executable, __file__, WEIGHED, name], check=True, stdout=subprocess.PIPE)
        found = json.loads(done.stdout.splitlines()[-1])
        measured = f"{found[FIRST] / 1e6:.0f} MB, then {found[LAST] / 1e6:.0f}"
        yield Figure(f"{name}, after {LAST} sessions to after {FIRST}", measured, found[LAST] / found[FIRST], "", BOUND)


def main(words: list[str]) -> None:
    """Print the table, or what one bot took as JSON."""
    match words:
        case [str(first), name] if first == WEIGHED:
            print(json.dumps([*weighed(name)]))
        case _:
            show("serve: memory over sessions", figures(words or [*BOTS]))


if __name__ == "__main__":
    main(sys.argv[1:])
