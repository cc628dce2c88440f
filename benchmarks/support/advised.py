"""Take advice at its word: make exactly the change that it tells, as a person types it, and decide the pass again."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import NamedTuple, Self

from commands.shared.setting_words import values_of
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.facts.kept_passes import KeptPasses
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.memory.events import MemoryEvents
from tradebot.adapters.state.state_folder import MARKER
from tradebot.app.advising import Advising, Whose, said_of
from tradebot.app.supposing import Supposing
from tradebot.errors import OperatorError
from tradebot.model.record import CycleRecord
from tradebot.replaying.answering import Answers, Stored, Supposition
from tradebot.replaying.asking import Advice, Changes
from tradebot.replaying.desk_changes import with_words
from tradebot.replaying.passes import Recorded, Surroundings, read_record
from tradebot.replaying.supposed import decided, given_other
from tradebot.replaying.writing import RecordError
from tradebot.views.advised import text_of

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


Typed = Sequence[tuple[tuple[str, ...], object]]
"""Settings by their paths, with values as they are typed."""


class Refusal(NamedTuple):
    """An entry that a recorded pass refused."""

    recorded: Recorded
    whose: Whose


class Door:
    """Decides recorded passes with changed settings as `why-no-orders --what-if` does, and not as advice is searched.

    What several passes share is read once.
    """

    def __init__(self, folder: Path) -> None:
        self._closing = ExitStack()
        facts = self._closing.enter_context(closing(SqliteFacts(folder, MemoryEvents(), datetime.now(UTC))))
        account = json.loads((folder / MARKER).read_text())["account_number"]
        ledger = self._closing.enter_context(closing(SqliteLedger.view(folder, account)))
        self.stored = Stored(facts, None, ledger)
        self._supposing = self._closing.enter_context(Supposing(folder, os.environ))
        self._supposed: dict[tuple[Surroundings, str], Supposition | None] = {}
        self._answers: dict[str, Answers] = {}
        self._advising: dict[str, Advising] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._closing.close()

    def sent(self, recorded: Recorded, changes: Typed) -> frozenset[tuple[str, str]]:
        """Return the strategies and symbols of the entries that a pass sends with these changes; none if not loaded."""
        supposed = self._of(recorded.surroundings, changes)
        if supposed is None:
            return frozenset()
        name = recorded.given.call.cycle_id
        answers = self._answers.setdefault(name, Answers(recorded, supposed.before, self.stored))
        try:
            answered, unknown = answers.to(supposed.strategies, supposed.after)
            assert not unknown, f"nobody knows what {unknown} would answer to {changes}"
            desk = with_words(answered.given.desk, supposed.after)
            return sent_in(decided(given_other(answered, desk=desk), supposed.after).cycle)
        except RecordError:
            return frozenset()

    def sends(self, refusal: Refusal, changes: Changes) -> bool:
        """Return True if the refused entry's order goes out with these changes, as a person types them."""
        typed = values_of([(".".join(path), text_of(value)) for path, value in changes.items()])
        return refusal.whose in self.sent(refusal.recorded, typed)

    def advising(self, recorded: Recorded) -> Advising:
        """Return what searches advice about a pass; what it finds about one candidate serves the others."""
        name = recorded.given.call.cycle_id
        if name not in self._advising:
            self._advising[name] = Advising(recorded, self.stored)
        return self._advising[name]

    def advice(self, refused: Iterable[Refusal]) -> Iterator[tuple[Refusal, Advice]]:
        """Yield each refusal with the advice about it."""
        return ((one, self.advising(one.recorded).of(one.whose)) for one in refused)

    def _of(self, around: Surroundings, changes: Typed) -> Supposition | None:
        key = around, repr(changes)
        if key not in self._supposed:
            try:
                self._supposed[key] = self._supposing.of(around, changes)
            except OperatorError:
                self._supposed[key] = None
        return self._supposed[key]


def sent_in(cycle: CycleRecord) -> frozenset[tuple[str, str]]:
    """Return the entries whose orders a pass sent."""
    return frozenset(
        (one.candidate.strategy, one.candidate.symbol)
        for one in cycle.candidates
        if one.terminal is None and one.client_order_id is not None
    )


def refusals(passes: Sequence[Recorded]) -> Iterator[Refusal]:
    """Yield the entries that these passes refused."""
    for recorded in passes:
        for whose, record in Advising(recorded, None).entries.items():
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


def taken(door: Door, found: Iterable[tuple[Refusal, Advice]], most: float = inf) -> Tally:
    """Take the advice about these refusals at its word, or about so many of those that have some."""
    singles, sent, too_soon, advised, wrong = 0, 0, 0, 0, list[str]()
    for refusal, advice in found:
        if advised == most:
            break
        if not advice.changes:
            continue
        advised, singles = advised + 1, singles + (len(advice.changes) == 1)
        goes = door.sends(refusal, advice.values)
        soon = any(door.sends(refusal, changes) for changes in nearer(advice))
        sent, too_soon = sent + goes, too_soon + soon
        if soon or not goes:
            wrong.append(f"{refusal.recorded.given.call.cycle_id} {refusal.whose}: {advice.values}")
    return Tally(advised, singles, sent, too_soon, tuple(wrong))


def nearer(advice: Advice) -> Iterator[Changes]:
    """Yield the advised changes with each of them one step nearer to what was."""
    for change in advice.changes:
        yield {**advice.values, change.setting.path: change.nearer}
