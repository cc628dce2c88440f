"""Take advice at its word: make exactly the change that it tells, as a person types it, and decide the pass again."""

import os
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from commands.shared.setting_words import values_of
from tradebot.adapters.facts.kept_passes import KeptPasses
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.app.advising import Advising, Whose, let_through, said_of
from tradebot.app.searched import setting_at
from tradebot.app.settings import Settings
from tradebot.app.supposing import Supposing
from tradebot.errors import ConfigurationError
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.replaying.advice import Advice, Changes
from tradebot.replaying.answering import Answers
from tradebot.replaying.nearest import Path as Names
from tradebot.replaying.nearest import Setting, Value
from tradebot.replaying.passes import Recorded, read_record
from tradebot.replaying.supposed import decided
from tradebot.views.advised import text_of

PER_SETTING = 16
"""How many values of each setting brute force tries, besides both ends."""


LOOSE = (
    "strategies.flow.min_cluster=1", "strategies.flow.min_families=1", "strategies.flow.limits.min_score=0.05",
    "limits.min_score=0.01",
)  # fmt: skip
FULL = (
    *LOOSE, "strategies.flow.limits.max_open_positions=4", "limits.max_open_positions=6",
    "strategies.flow.limits.max_new_entries=2", "limits.max_new_entries=3",
    "strategies.flow.limits.max_sector_fraction=0.11", "limits.max_sector_fraction=0.22",
)  # fmt: skip
SMALL = (
    *LOOSE, "limits.max_order_notional_usd=400", "limits.min_order_notional_usd=300", "limits.max_theme_fraction=0.2",
    "limits.max_net_fraction=0.101", "limits.max_spread_fraction=0.0003", "limits.max_risk_fraction=0.0001",
    "execution.max_quote_share=0.04",
)  # fmt: skip
"""Settings under which limits on a full book refuse, and those on orders that are too small."""


def passes_of(folder: Path) -> list[Recorded]:
    """Return the passes of entries that a bot kept."""
    with closing(KeptPasses(folder, MemoryEvents(), 1)) as kept:
        names = [one.id for one in kept.passes() if one.id.startswith("trade-once")]
        found = [kept.record(name) for name in names]
    shared: dict[tuple[bytes, object], object] = {}
    return [read_record(*one, shared) for one in found if one]


class Refusal(NamedTuple):
    """An entry that a recorded pass refused."""

    recorded: Recorded
    whose: Whose


class Typed:
    """Decides recorded passes again with settings as they are typed, by the way of a what-if and not of advice."""

    def __init__(self, folder: Path) -> None:
        self._supposing = Supposing(folder, os.environ)

    def decided(self, recorded: Recorded, changes: Changes) -> CycleRecord | None:
        """Return the pass with these changes; None if they don't load."""
        words = values_of([(".".join(path), text_of(value)) for path, value in changes.items()])
        try:
            supposed = self._supposing.of(recorded.surroundings, words)
        except ConfigurationError:
            return None
        answered, unknown = Answers(recorded, supposed.before, None).to(supposed.strategies, supposed.after)
        assert not unknown, f"nobody knows what {unknown} would answer to {changes}"
        return decided(answered, supposed.after).cycle

    def sends(self, refusal: Refusal, changes: Changes) -> bool:
        """Return True if the refused entry's order goes out with these changes."""
        cycle = self.decided(refusal.recorded, changes)
        found = record_of(cycle, refusal.whose) if cycle else None
        return found is not None and found.terminal is None and found.client_order_id is not None


def record_of(cycle: CycleRecord, whose: Whose) -> CandidateRecord | None:
    """Return what a pass decided about an entry."""
    found = (one for one in cycle.candidates if (one.candidate.strategy, one.candidate.symbol) == whose)
    return next(reversed([*found]), None)


def refusals(passes: Sequence[Recorded]) -> Iterator[Refusal]:
    """Yield the entries that these passes refused."""
    for recorded in passes:
        for whose, record in Advising(recorded).entries.items():
            if not said_of(record).through:
                yield Refusal(recorded, whose)


class Tally(NamedTuple):
    """What became of advice that was taken at its word: how many of `advised` changes sent the order, how many did so
    one step nearer, and how many were of one setting.

    `wrong` describes each refusal for which something else came out than advised.
    """

    advised: int
    singles: int
    sent: int
    nearer_sent: int
    wrong: tuple[str, ...]


def taken(typed: Typed, refused: Sequence[Refusal], most: int) -> Tally:
    """Take the advice about the first of these refusals that have some, at most so many."""
    singles, sent, too_soon, advised, wrong = 0, 0, 0, 0, list[str]()
    for refusal in refused:
        found = Advising(refusal.recorded).of(refusal.whose)
        if not found.changes or advised == most:
            continue
        advised, singles = advised + 1, singles + (len(found.changes) == 1)
        goes = typed.sends(refusal, found.values)
        soon = any(typed.sends(refusal, changes) for changes in nearer(found))
        sent, too_soon = sent + goes, too_soon + soon
        if soon or not goes:
            wrong.append(f"{refusal.recorded.given.call.cycle_id} {refusal.whose}: {found.values}")
    return Tally(advised, singles, sent, too_soon, tuple(wrong))


def nearer(advice: Advice) -> Iterator[Changes]:
    """Yield the advised changes with each of them one step nearer to what was."""
    for change in advice.changes:
        yield {**advice.values, change.setting.path: change.nearer}


def helpful(refusal: Refusal, *, pairs: int, seed: int, each: int = PER_SETTING) -> Changes | None:
    """Return what brute force over the settings finds for a refused entry that still sends what the pass sent.

    Each setting is tried alone at `each` values of its whole range and at some near its own, and so many random `pairs`
    at their ends; None if nothing helps.
    """
    advising, chance = Advising(refusal.recorded), random.Random(seed)  # noqa: S311 - replayable
    before = advising.decided({})
    assert before is not None
    strategy = refusal.whose[0]
    settings = [*every_setting(advising.settings, strategy, advising.filter_settings(strategy))]
    drawn = [tuple(chance.sample(settings, 2)) for _ in range(pairs)]
    for changes in (
        *_singles(settings, each),
        *({a.path: v, b.path: w} for a, b in drawn for v in _ends(a) for w in _ends(b)),
    ):
        after = advising.decided(changes)
        found = record_of(after, refusal.whose) if after else None
        if after is None or found is None or not said_of(found).through or not advising.loads(changes):
            continue
        if not let_through(before, after, refusal.whose).instead:
            return changes
    return None


def every_setting(settings: Settings, strategy: str, filters: Mapping[str, Sequence[str]]) -> Iterator[Setting]:
    """Yield all settings that advice could ever tell about a strategy's candidates, whatever refuses them."""
    own = settings.strategies.sections()[strategy]
    sections: tuple[tuple[Names, Iterable[str]], ...] = (
        (("limits",), type(settings.limits).model_fields),
        (("execution",), type(settings.execution).model_fields),
        (("strategies", strategy, "limits"), type(own.limits).model_fields),
        (("strategies", strategy, "execution"), type(own.execution).model_fields),
        (("strategies", strategy), ["allotment_fraction", *(name for names in filters.values() for name in names)]),
    )
    for section, names in sections:
        yield from filter(None, (setting_at(settings, (*section, name)) for name in names))


def _singles(settings: Sequence[Setting], each: int) -> Iterator[Changes]:
    for setting in settings:
        for value in _values(setting, each):
            yield {setting.path: value}


def _values(setting: Setting, each: int) -> Iterator[Value]:
    yield from _ends(setting)
    scale = setting.scale
    if scale is not None and isinstance(setting.value, Decimal):
        width = (scale.last - scale.first) / (each + 1)
        yield from (scale.at(scale.first + round(width * step)) for step in range(1, each + 1))
        here = scale.next_to(setting.value, 1)
        yield from (scale.at(here + step) for step in (-40, -10, -2, 0, 10, 40))


def _ends(setting: Setting) -> Sequence[Value]:
    if isinstance(setting.value, bool):
        return (not setting.value,)
    assert setting.scale is not None
    ends = setting.scale.at(setting.scale.first), setting.scale.at(setting.scale.last)
    return (*ends, None) if setting.may_be_off else ends
