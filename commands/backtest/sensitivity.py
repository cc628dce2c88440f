"""Play a finished backtest again with one thing changed each time, and keep what is done when someone stops it."""

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.backtest import run_backtest
from commands.backtest.run_backtest import Finished, progress
from commands.shared.error_boundary import TerminatedError
from tradebot.adapters.ledger.deferred_signals import DeferredSignals
from tradebot.errors import ExitCode, TradebotError
from tradebot.lab.backtest.results import Results
from tradebot.lab.backtest.run import BacktestPlan, bars_in
from tradebot.lab.backtest.variants import PlanVariant, PlanVariants, changes_of, play, variant
from tradebot.lab.performance.sensitivity import Sensitivity, sensitivity
from tradebot.model.evidence import Variant
from tradebot.model.text import pluralize
from tradebot.model.values import replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class BacktestVariants(Struct, frozen=True):
    """A backtest with its variants, and sentences about those that weren't played; no table without any."""

    table: "Sensitivity | None"
    left_out: tuple[str, ...]


def vary(finished: Finished, results: "Results") -> BacktestVariants:
    """Play the variants of a backtest that aren't played yet, and keep each beside its books as soon as it is done.

    Raises TradebotError with the code of the signal if it was stopped.
    """
    run = finished.run
    asked = changes_of(run.plan, run.made.world.strategies)
    variants = [*results.variants(finished.name, finished.identity.fingerprint)]
    try:
        _play(finished, asked, variants, results)
    except (KeyboardInterrupt, TerminatedError) as signalled:
        code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
        raise TradebotError(
            f"Stopped after {len(variants)} of {pluralize(len(asked.changes), 'variant')}. The backtest and "
            "these variants are kept.",
            "to go on: the same command with --resume. "
            f"To look at them: tradebot report --state-dir {results.place(finished.name)}",
            code=code,
        ) from signalled
    results.forget_checkpoint(finished.name)
    return BacktestVariants(sensitivity(variant(run), variants), asked.left_out)


def _play(finished: Finished, asked: "PlanVariants", variants: "list[Variant]", results: "Results") -> None:
    """Play the other variants one by one; one that is the backtest itself or an earlier variant isn't played."""
    plans = [change.plan for change in asked.changes[: len(variants)]]
    known = [(asked.played, variant(finished.run)), *zip(plans, variants, strict=True)]
    left = asked.changes[len(variants) :]
    with _watched(finished, _count(known, left)) as watch:
        for change in left:
            found = next((done for plan, done in known if plan == change.plan), None)
            if found is None:
                with run_backtest.load_strategies(replace(finished.planned, plan=change.plan)) as strategies:
                    found = play(change, strategies, finished.planned.market, watch)
                known.append((change.plan, found))
            variants.append(replace(found, kind=change.kind, name=change.name))
            with DeferredSignals():
                results.add_variants(finished.name, variants)


def _count(known: "Sequence[tuple[BacktestPlan, Variant]]", left: "Sequence[PlanVariant]") -> int:
    plans = [plan for plan, _ in known]
    for change in left:
        if change.plan not in plans:
            plans.append(change.plan)
    return len(plans) - len(known)


@contextmanager
def _watched(finished: Finished, plays: int) -> "Iterator[Callable[[int], None]]":
    sessions, done, bars = finished.run.total, 0, 0
    with progress(f"playing {pluralize(plays, 'variant')}", 0, 0) as tell:
        tell(0, plays * sessions, 0)

        def watch(place: int) -> None:
            nonlocal done, bars
            done += 1
            bars += bars_in(finished.planned.market, place - 1)
            tell(done, plays * sessions, bars)

        yield watch
