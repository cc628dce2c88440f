"""Where New York, its exchange or any zone is named outside of adapters, signals and the exchange, and why.

What a venue's day is comes from the venue. A new name here is a place that would be wrong at another venue, so it needs
a reason; one that is gone must leave the list.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = re.compile(r"(?i:new.?york|\bXNYS\b|\bNYSE\b|america/)|\bZoneInfo\(|\bET\b")
ROOMS = ("tradebot", "commands", "jobs", "config")
ELSEWHERE = ("tradebot/adapters", "tradebot/venues", "exchange/src/papervenue", "tradebot/signals")
"""What knows a venue, a source of flow, or the market that it plays."""

FLOW = "facts of options flow are dated in New York, whatever venue trades on them"
ALLOWANCE = "the flow source counts its calls from 20:00 in New York"
PLAYED = "a backtest plays on the embedded exchange, whose market is New York's"
PLACES: Mapping[str, tuple[int, str]] = {
    "commands/doctor/venue.py": (1, ALLOWANCE),
    "commands/fetch_flow/run.py": (1, ALLOWANCE),
    "config/base.yaml": (1, ALLOWANCE),
    "tradebot/app/facts_replay.py": (2, FLOW),
    "tradebot/lab/backtest/historical_flow.py": (3, FLOW),
    "tradebot/desk/exit_inputs.py": (3, FLOW),
    "tradebot/model/flow.py": (2, FLOW),
    "tradebot/model/fact_kind.py": (4, FLOW),
    "tradebot/lab/backtest/bars.py": (7, PLAYED),
    "tradebot/lab/backtest/lookahead.py": (2, PLAYED),
    "tradebot/model/venue.py": (1, "an example of a calendar's name"),
    "tradebot/model/venue_day.py": (1, "the zone of whatever venue it is"),
    "tradebot/model/notice.py": (1, "quiet hours may name a zone"),
    "tradebot/views/notification_events.py": (1, "quiet hours may name a zone"),
    "commands/bars/import_files.py": (1, "the first bars of a file are shown as New York would date them"),
    "commands/shared/times.py": (3, "no bot is opened yet, and a halt has no time to ask which venue it is"),
    "commands/shared/light_helpers.py": (1, "a time stays on one line with its zone"),
}
"""How many lines of each file name one, and why."""


def test_every_place_that_names_a_zone_or_new_york_is_listed_with_its_reason() -> None:
    assert dict(found()) == {place: lines for place, (lines, _) in PLACES.items()}
    assert len(PLACES) <= 18, "the list only gets shorter"


def found() -> Iterator[tuple[str, int]]:
    """Yield the files that name one, each with how many of its lines do."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            name = path.relative_to(ROOT).as_posix()
            if path.suffix in (".py", ".yaml") and not name.startswith(ELSEWHERE):
                lines = sum(1 for line in path.read_text(encoding="utf-8").splitlines() if NAMES.search(line))
                yield from [(name, lines)] if lines else []
