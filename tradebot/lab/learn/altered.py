"""What another value of a setting would have changed in the trades that were made, and which value that proves.

Each value is tried on the same trades, so all of them together are corrected for how many they are: if none makes any
difference, one is proposed by chance at most once in 20 times. A session counts once, because its trades move together.

A trade is a symbol and a side that gates refused in every pass of a session. It counts once, for the gate that refused
it first, and from the open of the bar after that refusal: nobody could have traded at the price of the decision itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date

from msgspec import Struct

from tradebot.auditing.confidence_intervals import (
    LEVEL,
    Estimate,
    correct_for_multiple_tests,
    estimate,
    fewest_sessions,
)
from tradebot.auditing.outcomes import HOUR_S, STAKE_USD, SessionReturns
from tradebot.lab.learn.values import LEAST, Item, Proposal, TradeOutcome, more_needed
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.record import EntryOutcome
from tradebot.model.text import pluralize

PER_SESSION = "USD per session"
WORTH = 1.0
"""The effect, in USD, that an estimate says the number of needed sessions for; nothing here asks for that."""


class Other(Struct, frozen=True):
    """Another value of a setting, as typed, and how many USD better each outcome would have been with it."""

    value: str
    better: Sequence[float]


class Knob(Struct, frozen=True):
    """A setting with its value, the outcomes that it had a say in, and other values that these can tell about.

    `part` says which rule of a list of exit rules is meant. `untold` says why there are no other values.
    """

    item: Item
    strategy: str
    setting: str
    value: str
    outcomes: Sequence[TradeOutcome]
    others: Sequence[Other]
    part: str = ""
    untold: str = ""


class _Tried(Struct, frozen=True):
    other: Other
    changed: int
    found: Estimate


def proposals(knobs: Sequence[Knob]) -> Iterator[Proposal]:
    """Yield what the outcomes say about each setting. A value that would have earned more beyond chance is proposed."""
    tried = [[_tried(knob, other) for other in knob.others] if _enough(knob) else [] for knob in knobs]
    chances = [one.found.p for each in tried for one in each]
    proven, tests = iter(correct_for_multiple_tests(chances)), sum(each is not None for each in chances)
    for knob, each in zip(knobs, tried, strict=True):
        yield _proposal(knob, [(one, next(proven)) for one in each], tests)


def by_session(outcomes: Sequence[TradeOutcome], values: Sequence[float]) -> list[float]:
    """Return the sum of values for each session that has outcomes, in order."""
    sums = dict[date, float]()
    for one, value in sorted(zip(outcomes, values, strict=True), key=lambda pair: pair[0].session):
        sums[one.session] = sums.get(one.session, 0.0) + value
    return list(sums.values())


def missing_of(outcomes: Sequence[TradeOutcome]) -> tuple[int, int]:
    """Return how many closed trades, and how many sessions with such, it takes more."""
    sessions = len({one.session for one in outcomes})
    return max(LEAST - len(outcomes), 0), max(fewest_sessions(1) - sessions, 0)


def _enough(knob: Knob) -> bool:
    return missing_of(knob.outcomes) == (0, 0)


def _tried(knob: Knob, other: Other) -> _Tried:
    found = estimate(by_session(knob.outcomes, other.better), 1, WORTH)
    return _Tried(other, sum(bool(each) for each in other.better), found)


def _proposal(knob: Knob, tried: Sequence[tuple[_Tried, float | None]], tests: int) -> Proposal:
    missing, missing_sessions = missing_of(knob.outcomes)
    proven = [one for one, p in tried if p is not None and p <= LEVEL and one.found.mean > 0]
    known = [one for one, p in tried if p is not None]
    better = [one for one in known if one.found.mean > 0]
    best = max(proven or better or known, key=lambda one: one.found.low or 0.0, default=None)
    if missing or missing_sessions:
        evidence = f"{pluralize(len(knob.outcomes), 'closed trade')}: {more_needed(missing, missing_sessions)}"
    elif best is None:
        evidence = knob.untold or "No other value would have changed any of these trades."
    else:
        evidence = _evidence(best, tests, proven=bool(proven))
    return Proposal(
        item=knob.item,
        strategy=knob.strategy,
        setting=knob.setting,
        value=knob.value,
        proposed=best.other.value if best and proven else None,
        n=len(knob.outcomes),
        unit=PER_SESSION,
        observed=best.found.mean if best else None,
        low=best.found.low if best else None,
        high=best.found.high if best else None,
        missing=missing,
        missing_sessions=missing_sessions,
        evidence=evidence,
        part=knob.part,
    )


def _evidence(best: _Tried, tests: int, *, proven: bool) -> str:
    found = best.found
    interval = f"95% interval {found.low:+,.2f} to {found.high:+,.2f}"
    changed = f"{pluralize(best.changed, 'trade')} would have ended otherwise"
    what = f"{changed}, which makes {found.mean:+,.2f} USD a session ({interval})."
    if proven:
        return f"With {best.other.value}, {what}"
    if found.mean <= 0:
        return f"No other value that was tried would have earned more. With {best.other.value}, {what}"
    return f"Nothing beyond chance, with {pluralize(tests, 'value')} tried in all. With {best.other.value}, {what}"


HELD_S = 4 * HOUR_S
Key = tuple[str, Gate]
"""A strategy, and a gate that refused its trades."""


class Blocked:
    """Adds up what blocked trades would have earned, session by session."""

    def __init__(self) -> None:
        self._usd = defaultdict[Key, list[float]](list)
        self._trades = defaultdict[Key, int](int)

    @property
    def keys(self) -> Collection[Key]:
        return self._usd.keys()

    def add(self, day: SessionReturns, judged: Sequence[EntryOutcome]) -> None:
        """Add the blocked trades of one session; those whose prices aren't known aren't counted."""
        sums = defaultdict[Key, list[float]](list)
        for one in _refused(judged):
            gained = day.return_after(one.symbol, one.at, HELD_S)
            if gained is not None and one.gate is not None:
                sums[one.strategy, one.gate].append(one.side.sign * gained * STAKE_USD)
        for key, made in sums.items():
            self._usd[key].append(sum(made))
            self._trades[key] += len(made)

    def proposals(self, settings: Mapping[Key, str], values: Mapping[Key, str]) -> Iterator[Proposal]:
        """Yield what the refusals of each gate cost or saved, given the settings that gates read, and their values."""
        keys = sorted(self._usd, key=lambda key: (key[0], -self._trades[key], key[1]))
        found = {key: estimate(self._usd[key], 1, WORTH) for key in keys if self._enough(key)}
        chances = dict(zip(found, correct_for_multiple_tests([each.p for each in found.values()]), strict=True))
        for key in keys:
            of, chance = found.get(key), chances.get(key)
            sessions = len(self._usd[key])
            yield Proposal(
                item=Item.BLOCKED,
                strategy=key[0],
                setting=settings.get(key),
                value=values.get(key),
                proposed=None,
                n=self._trades[key],
                unit=PER_SESSION,
                observed=of.mean if of else None,
                low=of.low if of else None,
                high=of.high if of else None,
                missing=max(LEAST - self._trades[key], 0),
                missing_sessions=max(fewest_sessions(1) - sessions, 0),
                evidence=self._evidence(key, proven=chance is not None and chance <= LEVEL),
                part=key[1].value,
            )

    def _enough(self, key: Key) -> bool:
        return self._trades[key] >= LEAST and len(self._usd[key]) >= fewest_sessions(1)

    def _evidence(self, key: Key, *, proven: bool) -> str:
        trades, usd = self._trades[key], self._usd[key]
        total = sum(usd)
        did = "earned" if total >= 0 else "lost"
        what = (
            f"Refused {pluralize(trades, 'trade')} in {pluralize(len(usd), 'session')}; with {STAKE_USD:,} USD "
            f"in each, "
            f"they would have {did} {abs(total):,.2f} USD before costs"
        )
        if not self._enough(key):
            more = max(LEAST - trades, 0), max(fewest_sessions(1) - len(usd), 0)
            parts = [f"{pluralize(more[0], 'more blocked trade')}"] if more[0] else []
            parts += [f"{pluralize(more[1], 'more session')} with such"] if more[1] else []
            return f"{what}. To say more takes {' and '.join(parts)}."
        if not proven:
            return f"{what}: that can't be told from chance."
        if total < 0:
            return f"{what}: refusing them saved money."
        return (
            f"{what}: refusing them cost money. Learning loosens nothing; tradebot why-no-orders --what-if shows what "
            "another value lets through."
        )


def _refused(judged: Sequence[EntryOutcome]) -> Sequence[EntryOutcome]:
    """Return the first refusal of each trade that no pass of the session let through."""
    first, sent = dict[tuple[str, str, Side], EntryOutcome](), set[tuple[str, str, Side]]()
    for one in judged:
        if not one.was_gated or one.score == 0:
            continue
        key = one.strategy, one.symbol, one.side
        if one.gate is None:
            sent.add(key)
        else:
            first.setdefault(key, one)
    return [one for key, one in first.items() if key not in sent]
