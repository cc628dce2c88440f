"""What another value of a setting would have changed in the trades that were made, and which value that proves.

Each value is tried on the same trades, so all of them together are corrected for how many they are: if none makes any
difference, one is proposed by chance at most once in 20 times. A session counts once, because its trades move together.
"""

from collections.abc import Iterator, Sequence
from datetime import date

from msgspec import Struct

from tradebot.auditing.confidence_intervals import LEVEL, Estimate, corrected, estimate, fewest_sessions
from tradebot.lab.learn.values import LEAST, Item, Outcome, Proposal, more_needed
from tradebot.model.text import counted

PER_SESSION = "USD per session"
WORTH = 1.0
"""The effect, in USD, that an estimate says the number of needed sessions for; nothing here asks for that."""


class Other(Struct, frozen=True):
    """Another value of a setting, as it is typed, and by how many USD each outcome would have been better with it."""

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
    outcomes: Sequence[Outcome]
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
    proven, tests = iter(corrected(chances)), sum(each is not None for each in chances)
    for knob, each in zip(knobs, tried, strict=True):
        yield _proposal(knob, [(one, next(proven)) for one in each], tests)


def by_session(outcomes: Sequence[Outcome], values: Sequence[float]) -> list[float]:
    """Return the sum of values for each session that has outcomes, in order."""
    sums = dict[date, float]()
    for one, value in sorted(zip(outcomes, values, strict=True), key=lambda pair: pair[0].session):
        sums[one.session] = sums.get(one.session, 0.0) + value
    return list(sums.values())


def missing_of(outcomes: Sequence[Outcome]) -> tuple[int, int]:
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
        evidence = f"{counted(len(knob.outcomes), 'closed trade')}: {more_needed(missing, missing_sessions)}"
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
    changed = f"{counted(best.changed, 'trade')} would have ended otherwise"
    what = f"{changed}, which makes {found.mean:+,.2f} USD a session ({interval})."
    if proven:
        return f"With {best.other.value}, {what}"
    if found.mean <= 0:
        return f"No other value that was tried would have earned more. With {best.other.value}, {what}"
    return f"Nothing beyond chance, with {counted(tests, 'value')} tried in all. With {best.other.value}, {what}"
