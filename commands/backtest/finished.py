"""A backtest that has ended or was stopped: what it was made from, and what is kept of it."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, to_builtins

from commands.backtest.options import Planned
from commands.shared.surface import jsonable
from tradebot.app.backtest.assumptions import Assumption
from tradebot.app.backtest.identity import Identity
from tradebot.app.backtest.ready import Waits
from tradebot.app.backtest.results import Trial
from tradebot.app.backtest.run import Run
from tradebot.app.baseline import plain
from tradebot.views.backtest_result import BacktestResult, backtest_result

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = 1
"""The version of result.json."""


class Finished(Struct, frozen=True):
    """A run that has ended or was stopped, what it was made from, and how many sessions an earlier process played."""

    name: str
    planned: "Planned"
    run: "Run"
    identity: "Identity"
    assumptions: "tuple[Assumption, ...]"
    waits: "tuple[Waits, ...]"
    done_before: int
    elapsed_s: float


def result_of(run: "Run") -> "BacktestResult":
    ledger = run.made.ledger
    return backtest_result(
        ledger.opening_cash(), run.ends, ledger.fills(), ledger.cash_movements(), ledger.trading_states()
    )


def document_of(finished: Finished) -> dict[str, Any]:
    """Return what is kept beside a run's books: the same for the same inputs, byte for byte."""
    return {
        "schema": SCHEMA,
        "identity": plain(to_builtins(finished.identity, builtin_types=(Decimal,))),
        "complete": finished.run.is_complete,
        "assumptions": jsonable(finished.assumptions),
        "result": jsonable(result_of(finished.run)),
    }


def trials_of(finished: Finished) -> "Sequence[Trial]":
    """Return what a complete run has tried; a trial has to have been seen to its end."""
    if not finished.run.is_complete:
        return ()
    result, digest = result_of(finished.run), finished.identity.trial
    strategies = finished.run.made.world.strategies
    return [Trial(one.name, digest, finished.name, result.sessions, result.sharpe) for one in strategies]
