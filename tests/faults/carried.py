"""Positions that are kept from rolling, day by day up to the contract's last one and beyond.

    python -m tests.faults.programs carried --seed 7 --count 6
    python -m tests.faults.programs carried --seed 7 --only gold-2

Something is in the way of the roll for some days: the venue refuses what closes, loses the answer, stops trading the
contract or can't be reached; the bot is halted, or stopped. December's gold is left around Thanksgiving. Whatever it
is, nothing may be held into first notice or last trade. Only what nobody could close by then may be, and that has to be
told; the first pass that can has to close it. The exchange's log is the judge. It prints one JSON line, and ends with 1
where a law was broken.
"""

import argparse
import json
import os
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from exchange.tests.kit.cable import lay_cable
from papervenue.market.hours import EQUITY, HOURS, METALS
from tests.faults.bracketed import Event, caught, lost, naked, never_leaves
from tests.kit.bot.futures import INDEXES, Floor, Pit, wants
from tests.kit.bot.near import EPOCH, compares, exits
from tradebot.app.wiring import App
from tradebot.gates import halts
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.venues.ibkr.contracts import months_of

FLOORS: Mapping[str, Floor] = {
    "indexes": INDEXES._replace(sessions=13, held_s=2_000_000, arm=0.15, far=0.2, seed=2),
    "gold": Floor(
        *("MGC", "metals", "MGCZ6", "MGCG7"),
        # A Wednesday; notice is first given on the Monday after Thanksgiving.
        date(2026, 11, 18),
        11,
        datetime(2026, 11, 19, 20, 0, tzinfo=UTC),
        datetime(2026, 11, 20, 17, 1, tzinfo=UTC),
        held_s=2_000_000,
        arm=0.15,
        far=0.2,
        seed=4,
    ),
}
LEAVES_AT: Mapping[str, time] = {"indexes": time(19, 1), "gold": time(17, 1)}
"""In which hour each is left, in UTC."""
AFTERNOON, EVENING = time(21, 0), time(23, 30)
"""Before the session ends, and in the one after it."""
BEYOND, AHEAD, A_DAY = 3, timedelta(days=40), timedelta(days=1)
"""So many days after the last one of a contract does a life go on."""
SOON = timedelta(minutes=15)
GROUPS: Mapping[str, str] = {"indexes": EQUITY, "metals": METALS}
LIQUID_FROM: Mapping[str, time] = {"indexes": time(14, 30), "metals": time(13, 20)}
"""When the liquid hours of a group begin in winter."""
SETTLEMENT = "settlement"
"""How the exchange's log calls a position that a contract's end has closed."""


class Obstacle(NamedTuple):
    """What is in the way: rules of faults, a halt, or that the bot is stopped; `acts` if the bot could close anyway."""

    rules: Sequence[Mapping[str, Any]] = ()
    halts: bool = False
    stops: bool = False
    acts: bool = False


TROUBLES: Mapping[str, Obstacle] = {
    "closes refused": Obstacle([{"when": {"request": "submit"}, "what": "reject_after_acceptance"}]),
    "answers lost": Obstacle([{"when": {"request": "submit"}, "what": "reply_lost"}], acts=True),
    "orders lost": Obstacle([{"when": {"request": "submit"}, "what": {"reset": "before"}}]),
    "not traded": Obstacle([{"what": "halt_symbol"}]),
    "out of reach": Obstacle([{"when": {"request": "any"}, "what": {"reset": "before"}}]),
    "halted": Obstacle(halts=True, acts=True),
    "stopped": Obstacle(stops=True),
    "nothing": Obstacle(acts=True),
}


class Plan(NamedTuple):
    """What a life meets: which trouble, and the moment at which it has ended."""

    trouble: str
    ends: datetime


class Look(NamedTuple):
    """When passes ran, in which session, and whether nothing was in the way."""

    at: datetime
    session: date
    free: bool


class CarriedPosition:
    """One position, from before its roll to after its last day."""

    def __init__(self, pit: Pit, name: str, chance: random.Random, plan: Plan | None = None) -> None:
        self.floor, self._hour = pit.floor, LEAVES_AT[name]
        self.rolling = months_of(self.floor.root, self.floor.start, self.floor.start + AHEAD)[0].rolling
        self.sessions = sessions_of(self.floor.sector, self.floor.start, self.rolling.until + AHEAD)
        self.day = pit.day("held")
        first = self.floor.rolls_at.date()
        days = [first + timedelta(days=count) for count in range((self.rolling.until - first).days + BEYOND + 1)]
        clocks = (self._hour, AFTERNOON, EVENING)
        self._moments = [datetime.combine(day, clock, UTC) for day in days for clock in clocks]
        self.plan = plan or Plan(chance.choice([*TROUBLES]), chance.choice(self._moments[3:]))
        self.trouble = TROUBLES[self.plan.trouble]
        self.looks = list[Look]()

    def live(self) -> "CarriedPosition":
        """Play each day: its hour, its afternoon and its evening."""
        self.day.arm([{"name": f"t{number}", **rule} for number, rule in enumerate(self.trouble.rules)])
        if self.trouble.halts:
            assert self.day.run(halted) == 0
        for moment in self._moments:
            flat = flat_since(self.day.events(), self.floor.left)
            looked = self.looks[-1].at if self.looks else self.plan.ends
            if flat is not None and moment - flat > A_DAY and looked > max(flat, self.plan.ends):
                break
            self._at(moment)
        return self

    def _at(self, moment: datetime) -> None:
        self.day.tick(to=moment.isoformat())
        over, session = moment >= self.plan.ends, session_of(self.sessions, moment)
        if moment == self.plan.ends:
            self.day.calm()
        if (not self.trouble.stops or over) and session:
            self.looks.append(Look(moment, session, over or self.trouble.acts))
            self.day.passes(compares, exits)
            self.day.tick(seconds=122)
            self.day.passes(compares, exits)
            if moment.time() == self._hour or session >= self.rolling.until:
                self.day.passes(compares, wants(self.day.folder.parent, {}), compares, exits)

    def broken(self) -> Iterator[str]:
        """Yield each law that was broken."""
        events = self.day.events()
        yield from self.day.problems
        yield from naked(events)
        with closing(self.day.ledger()) as ledger:
            latches = ledger.halts()
            reasons = {reason for one in latches for reason in one.causes}
            mark = ledger.last_reconcile()
        settled = [event for event in events if event["event"] == SETTLEMENT]
        yield from [] if settled else lost(events, self.day)
        closes = self._closes_by(halted=bool(latches))
        flat = flat_since(events, self.floor.left)
        if closes is not None and (flat is None or flat > closes + SOON):
            yield f"{self.floor.left} was there to be closed from {closes} on, and was held until {flat}"
        ends = next(end for day, _, end in self.sessions if day == self.rolling.until)
        if closes is not None and closes < ends <= (flat or closes):
            yield f"{self.floor.left} was held past {ends}"
        late = [look.at for look in self.looks if look.free and look.at > ends]
        held_late = late and (flat is None or flat > late[0])
        if held_late and Reason.CONTRACT_OVERDUE not in reasons:
            yield f"{self.floor.left} was held past {ends}, and nobody was told: {latches}"
        if settled and not held_late and not (mark and mark.findings):
            yield f"{self.floor.left} has ended without the bot, and nobody was told: {mark}"

    def _closes_by(self, *, halted: bool) -> datetime | None:
        """Return from which pass on nothing was in the way of a close; a halted bot waits for the last day.

        On that day, it waits for the first liquid hour.
        """
        last = self.rolling.until
        liquid = datetime.combine(last, LIQUID_FROM[self.floor.sector], UTC)
        for look in self.looks:
            in_its_hour = look.at.time() == self._hour and not halted
            on_its_last_day = look.session > last or (look.session == last and look.at >= liquid)
            if look.free and (on_its_last_day or in_its_hour):
                return look.at
        return None


def sessions_of(group: str, first: date, last: date) -> list[tuple[date, datetime, datetime]]:
    """Return the sessions of a group of contracts, by the exchange's own hours."""
    hours = HOURS[GROUPS[group]].between(first.isoformat(), last.isoformat())
    return [(date.fromisoformat(day), _time(opens), _time(closes)) for day, opens, closes in hours]


def _time(at_us: int) -> datetime:
    return EPOCH + timedelta(microseconds=at_us)


def session_of(sessions: Sequence[tuple[date, datetime, datetime]], at: datetime) -> date | None:
    """Return the session of a moment, None while the market is closed."""
    return next((day for day, opens, closes in sessions if opens <= at < closes), None)


def flat_since(events: Sequence[Event], symbol: str) -> datetime | None:
    """Return when nothing was held of a symbol any more, None if something is."""
    fills = [event for event in events if event.get("symbol") == symbol and "position" in event]
    last = fills[-1]
    return None if Decimal(last["position"]) else datetime.fromisoformat(last["at"])


def halted(app: App) -> int:
    """Halt the bot."""
    now = app.world().reader.clock().now
    app.ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "campaign", "in the way", now))
    return 0


def ignores_the_end() -> None:
    """Hold contracts until they end, and tell nobody."""
    never_leaves()
    vars(halts)["none_overdue"] = lambda desk: None


CONTROLS: Mapping[Callable[[], None], tuple[str, Plan, str]] = {
    never_leaves: ("gold", Plan("nothing", datetime(2026, 11, 24, 17, 1, tzinfo=UTC)), "was held until"),
    ignores_the_end: ("indexes", Plan("stopped", datetime(2026, 12, 17, 23, 30, tzinfo=UTC)), "nobody was told"),
}
"""Bots broken on purpose, with the life that shows it, and what has to be said."""


FIXED: Mapping[str, tuple[str, Plan]] = {
    "holiday": ("gold", Plan("stopped", datetime(2026, 11, 26, 17, 1, tzinfo=UTC))),
    "ended": ("indexes", Plan("stopped", datetime(2026, 12, 18, 19, 1, tzinfo=UTC))),
}
"""Lives that are always played: a bot that comes back on Thanksgiving, and one that holds what has ended."""


def pits(root: Path, names: Sequence[str]) -> Mapping[str, Pit]:
    """Return a pit of each floor that is named, in which a position is held."""
    cable, made = lay_cable(setattr), dict[str, Pit]()
    for name in names:
        (root / name).mkdir()
        made[name] = Pit(root / name, cable, FLOORS[name])
        made[name].holds()
    return made


def controlled(there: Mapping[str, Pit], control: Callable[[], None]) -> list[str]:
    """Return what was said of a broken bot that shouldn't have been, or that nothing was."""
    name, plan, words = CONTROLS[control]
    whole = [*CarriedPosition(there[name], name, random.Random(0), plan).live().broken()]
    found = caught(control, lambda: [*CarriedPosition(there[name], name, random.Random(0), plan).live().broken()])
    seen = [] if any(words in problem for problem in found) else [f"it was not seen: {found}"]
    return [f"{control.__name__}: {problem}" for problem in (*whole, *seen)]


def main() -> int:
    """Play what the arguments say."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=4, help="how many lives, of each floor in turn")
    parser.add_argument("--only", action="append", help="play this life; again for another one")
    parser.add_argument("--controls", action="store_true", help="play what is broken on purpose too")
    asked = parser.parse_args()
    names = [*FLOORS]
    labels = asked.only or [*FIXED, *(f"{names[number % len(names)]}-{number}" for number in range(asked.count))]
    befell, flat, problems = Counter[str](), dict[str, str](), list[str]()
    replay = f"python -m tests.faults.programs carried --seed {asked.seed} --only"
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 -- its own folder is made there
    with tempfile.TemporaryDirectory(prefix="carried-", dir=memory) as root:
        there = pits(Path(root), names)
        for label in labels:
            name, plan = FIXED.get(label, (label.partition("-")[0], None))
            life = CarriedPosition(there[name], name, random.Random(f"carried {asked.seed} {label}"), plan).live()
            flat[label] = f"{flat_since(life.day.events(), life.floor.left)}"
            befell[
                life.plan.trouble if life.plan.ends.date() <= life.rolling.until else f"{life.plan.trouble}, beyond"
            ] += 1
            problems += [f"{label}: {life.plan}: {problem} [{replay} {label}]" for problem in life.broken()]
        for control in CONTROLS if asked.controls else ():
            problems += controlled(there, control)
    print(json.dumps({"befell": befell, "flat": flat, "problems": problems}))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
