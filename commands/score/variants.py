"""`score --variants`: how many more entries a strategy would want now with one of its settings changed."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from rich.console import Console
from rich.markup import escape

from commands.shared.tables import Table, number
from commands.shared.times import when
from commands.shared.verb_options import Report
from tradebot.app.wiring import App
from tradebot.desk.strategy_views import Sights
from tradebot.model.text import pluralize
from tradebot.ports.strategy import VariedStrategy


class FilterVariant(Struct, frozen=True):
    """A setting that was changed, and the symbols that pass the strategy's own filters only with the change.

    `fewer` are those that pass only without it.
    """

    setting: str
    passing: int
    more: tuple[str, ...]
    fewer: tuple[str, ...]


class VariedScore(Struct, frozen=True):
    """One strategy: how many symbols it saw, which pass its own filters now, and what its variants change."""

    strategy: str
    seen: int
    passing: tuple[str, ...]
    variants: tuple[FilterVariant, ...]


class Variants(Struct, frozen=True):
    """What strategies would want at `at` with settings changed; nothing was recorded, and no gate of the core asked.

    `without` are the strategies that have no variants.
    """

    at: datetime
    strategies: tuple[VariedScore, ...]
    without: tuple[str, ...]


def run(app: App) -> Report:
    """Ask each strategy that has variants, without recording anything."""
    world, now = app.world(dry_run=True), app.now()
    sights = Sights(world, now, app.strategies)
    scores, without = [], []
    for strategy in app.strategies:
        if not isinstance(strategy, VariedStrategy):
            without.append(strategy.name)
            continue
        view = sights.of(strategy).view
        base, *others = strategy.variants(view)
        known = frozenset(base.passing)
        variants = tuple(
            FilterVariant(
                other.setting,
                len(other.passing),
                tuple(symbol for symbol in other.passing if symbol not in known),
                tuple(symbol for symbol in base.passing if symbol not in other.passing),
            )
            for other in others
        )
        scores.append(VariedScore(strategy.name, len(view.universe), tuple(base.passing), variants))
    return Report("score-variants", Variants(now, tuple(scores), tuple(without)), _render)


SHOWN = 6
"""How many symbols of a variant a screen names; the document has all of them."""


def _render(out: Console, data: Variants) -> None:
    out.print(f"What would be wanted at {when(data.at)} with one setting changed; the account's gates aren't asked")
    for score in data.strategies:
        of = pluralize(score.seen, "symbol")
        out.print(f"Strategy {score.strategy}: {len(score.passing)} of {of} pass its own filters now", markup=False)
        table = Table("setting", number("pass"), number("more"), number("fewer"), "which more")
        for one in score.variants:
            named = ", ".join(one.more[:SHOWN]) + (f" and {len(one.more) - SHOWN} others" if one.more[SHOWN:] else "")
            table.row(escape(one.setting), f"{one.passing}", f"{len(one.more)}", f"{len(one.fewer)}", escape(named))
        out.print(table)
    for name in data.without:
        out.print(f"Strategy {name} has no variants.", markup=False)
