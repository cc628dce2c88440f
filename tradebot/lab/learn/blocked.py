"""What blocked trades would have earned: each until four hours later, or the close if that is sooner, before costs.

A trade is a symbol and a side that gates refused in every pass of a session. It counts once, for the gate that refused
it first, and from the open of the bar after that refusal: nobody could have traded at the price of the decision itself.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from tradebot.auditing.confidence_intervals import LEVEL, corrected, estimate, fewest_sessions
from tradebot.auditing.forward_returns import HOUR_S, SessionReturns
from tradebot.auditing.outcomes import STAKE_USD
from tradebot.lab.learn.altered import PER_SESSION, WORTH
from tradebot.lab.learn.values import LEAST, Item, Proposal
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.record import Judged
from tradebot.model.text import counted

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

    def add(self, day: SessionReturns, judged: Sequence[Judged]) -> None:
        """Add the blocked trades of one session; those whose prices aren't known aren't counted."""
        sums = defaultdict[Key, list[float]](list)
        for one in _refused(judged):
            gained = day.held(one.symbol, one.at, HELD_S)
            if gained is not None and one.gate is not None:
                sums[one.strategy, one.gate].append(one.side.sign * gained * STAKE_USD)
        for key, made in sums.items():
            self._usd[key].append(sum(made))
            self._trades[key] += len(made)

    def proposals(self, settings: Mapping[Key, str], values: Mapping[Key, str]) -> Iterator[Proposal]:
        """Yield what the refusals of each gate cost or saved, given the settings that gates read, and their values."""
        keys = sorted(self._usd, key=lambda key: (key[0], -self._trades[key], key[1]))
        found = {key: estimate(self._usd[key], 1, WORTH) for key in keys if self._enough(key)}
        chances = dict(zip(found, corrected([each.p for each in found.values()]), strict=True))
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
            f"Refused {counted(trades, 'trade')} in {counted(len(usd), 'session')}; with {STAKE_USD:,} USD in each, "
            f"they would have {did} {abs(total):,.2f} USD before costs"
        )
        if not self._enough(key):
            more = max(LEAST - trades, 0), max(fewest_sessions(1) - len(usd), 0)
            parts = [f"{counted(more[0], 'more blocked trade')}"] if more[0] else []
            parts += [f"{counted(more[1], 'more session')} with such"] if more[1] else []
            return f"{what}. To say more takes {' and '.join(parts)}."
        if not proven:
            return f"{what}: that can't be told from chance."
        if total < 0:
            return f"{what}: refusing them saved money."
        return (
            f"{what}: refusing them cost money. Learning loosens nothing; tradebot why-no-orders --what-if shows what "
            "another value lets through."
        )


def _refused(judged: Sequence[Judged]) -> Sequence[Judged]:
    """Return the first refusal of each trade that no pass of the session let through."""
    first, sent = dict[tuple[str, str, Side], Judged](), set[tuple[str, str, Side]]()
    for one in judged:
        if not one.was_gated or one.score == 0:
            continue
        key = one.strategy, one.symbol, one.side
        if one.gate is None:
            sent.add(key)
        else:
            first.setdefault(key, one)
    return [one for key, one in first.items() if key not in sent]
