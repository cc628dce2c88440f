"""One of the sources that a bot of futures reads is behind, empty or repeats itself, as in `tests.faults.sources`.

python -m tests.faults.pit_sources --table
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from commands.flatten import run as flatten
from tests.faults.pit_lives import laid
from tests.faults.sources import (
    CANCELED,
    CLOSING,
    ENTERING,
    MISSING,
    MOMENTS,
    OLDER,
    SOURCES,
    TWICE,
    Case,
    Found,
    cancel_stops,
    told,
)
from tests.kit.bot.futures import FINDINGS, LEFT, SIZE, FuturesDay, Pit, wants
from tests.kit.bot.near import compares, exits
from tests.kit.judge import protection
from tests.kit.judge.gaps import Lots
from tradebot.app.wiring import App

ROUNDS, CALM = 6, 4
DOUBTED_S = 6
"""A stop that no list shows any more may have gone at once after the last look, which is told."""
SEEN = ("orders", "positions", "activities", "account")
ENDED = "order"
"""What an order is, the venue tells in its lists alone: in that of open orders, and in that of ended ones."""
SENT, BOTH, HISTORY = "submit", "activities and positions", "activities and order"
WRONG: Mapping[str, Mapping[str, Any]] = {
    **{source: SOURCES[source] for source in SEEN},
    ENDED: {OLDER: SOURCES[ENDED][OLDER]},
    BOTH: {MISSING: "missing_rows"},
    HISTORY: {OLDER: SOURCES[ENDED][OLDER]},
    SENT: {TWICE: "delivered_twice"},
}
CASES = tuple(
    Case(source, wrong, moment)
    for moment in MOMENTS
    for source in WRONG
    for wrong in WRONG[source]
    # Its doubt about a stop that went with its position is told until the history has the close.
    if (source, moment) != (HISTORY, CLOSING)
)


def closes(app: App) -> int:
    """Close everything, as a person does."""
    return int(flatten.run(app, None, by="test", confirmed="ALL").exit_code)


def play(pit: Pit, case: Case) -> Found:
    """Play a case, and return what became of it."""
    day, ended_well = pit.day("flat" if case.moment == ENTERING else "held"), False
    what = WRONG[case.source][case.wrong]
    lie = [{"name": source, "when": {"request": source}, "what": what} for source in case.source.split(" and ")]
    if case.moment == ENTERING:
        day.arm(lie)
        day.run(wants(pit.root, {LEFT: "buy"}))
        day.tick(seconds=122)
    else:
        day.run(exits)
        day.arm(lie)
        day.tick(seconds=5)
    if case.moment == CANCELED:
        day.run(cancel_stops)
    elif case.moment == CLOSING:
        ended_well = day.run(closes) == 0
    for _ in range(ROUNDS):
        day.tick(seconds=61)
        day.run(exits)
    day.calm()
    for _ in range(CALM):
        day.tick(seconds=61)
        day.run(exits)
        code = day.run(compares)
    if case == Case(SENT, TWICE, ENTERING) and day.run(closes):
        day.problems.append("what is ours of it can't be closed")
    # A person hears of the second order, and of what it has filled.
    expected = FINDINGS if case.source == SENT else FINDINGS[:1]
    wrong = [f"once the source was right, a comparison ended with {code}"] if code not in expected else []
    problems = [*day.problems, *wrong]
    return judged(pit, day, case, problems, ended_well=ended_well)


def judged(pit: Pit, day: FuturesDay, case: Case, problems: Sequence[str], *, ended_well: bool) -> Found:
    """Return what the exchange's log says of a case."""
    lots, events = Lots(pit.number), day.events()
    for event in events:
        if event.get("account") in (None, "", pit.number):
            lots.add(event)
    if case.source != "orders":
        lots.lied.clear()
    fills = [event for event in events if event["event"] == "fill"]
    found = list(problems) if fills else [*problems, "nothing was bought"]
    if ended_well and fills and fills[-1]["position"] != "0":
        found.append(f"flatten ended well, and {fills[-1]['position']} are held")
    if case.source != SENT:
        found += twice_protected(events)
    gaps, sessions = protection.told_by(day.folder), protection.sessions_of(pit.root / "first")
    law = protection.Law(lots, sessions, gaps, protection.passes_of(day.folder)).judge()
    bare_s = max(law.longest_s.values(), default=0.0)
    told_s = sum(((one.until or day.now) - one.since for one in gaps), timedelta()).total_seconds()
    if told_s > bare_s + DOUBTED_S:
        found.append(f"nothing was without a stop for longer than {bare_s:.0f} s, and {told_s:.0f} s are told")
    return Found(case, bare_s, told_s, (*found, *law.problems))


def twice_protected(events: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield that stops for more than is ever held have worked for a minute: of each group, only one order can fill."""
    stops = dict[str, Mapping[str, Any]]()
    for event in events:
        if event.get("order_id") and event["type"] == "stop":
            stops[event["order_id"]] = event
        elif event["event"] == "ticked":
            groups = {
                one.get("oca_group") or name: Decimal(one["qty"])
                for name, one in stops.items()
                if one["status"] == "new"
            }
            if sum(groups.values(), Decimal(0)) > SIZE:
                yield f"{len(groups)} stops rest for {sum(groups.values())} at {event['at']}, and can turn the position"
                return


def main() -> int:
    """Play what the arguments say, and tell what became of each case."""
    with tempfile.TemporaryDirectory(prefix="pit-sources-") as root:
        pit = Pit(Path(root), laid())
        pit.trades()
        return told("ibkr", CASES, lambda cases: [play(pit, case) for case in cases])


if __name__ == "__main__":
    sys.exit(main())
