"""The data of `tradebot backtest`: what was played, what it assumes, what came of it, and what it can't know."""

from collections import Counter
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.backtest.finished import Finished, result_of
from commands.backtest.sensitivity import Varied
from tradebot.adapters.state.state_folder import option
from tradebot.app.backtest.assumptions import Assumption
from tradebot.app.backtest.identity import DataFile
from tradebot.app.backtest.lookahead import Checked
from tradebot.app.backtest.ready import Waits
from tradebot.app.backtest.run import Run, bars_in
from tradebot.ports.strategy import Strategy
from tradebot.views.backtest_result import BacktestResult, what_it_cannot_know
from tradebot.views.performance.report_rows import Sensitivity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SENT = "SENT"
"""How an entry ended that was sent."""


class Played(Struct, frozen=True):
    """What was played: so many bars (minute bars, or daily ones from a daily file) of which symbols, by whom.

    `configuration` says where the settings come from, and `data` which files the market was made from.
    """

    bars: int
    symbols: tuple[str, ...]
    strategies: tuple[str, ...]
    configuration: str
    data: "tuple[DataFile, ...]"


class Speed(Struct, frozen=True):
    """How many sessions this process played, for how long, and how many of the due passes ran.

    The other passes would have changed nothing.
    """

    sessions: int
    elapsed_s: float
    passes_due: int
    passes_ran: int


class BacktestData(Struct, frozen=True):
    """One backtest. `differences` counts what books and exchange disagreed about in the end.

    `ended` counts entry candidates by what refused them, the most frequent first; those of SENT led to orders. Nothing
    is counted by a recorder of none. `trials` counts by strategy with how many different settings it has been tried so
    far, this run included. `sensitivity` sets the run beside its variants, if that was asked for, and `not_varied`
    says in sentences which weren't played.
    """

    name: str
    folder: str
    fingerprint: str
    played: Played
    assumptions: "tuple[Assumption, ...]"
    waits: "tuple[Waits, ...]"
    result: "BacktestResult"
    ended: dict[str, int]
    differences: int
    cannot_know: tuple[str, ...]
    trials: dict[str, int]
    lookahead: "Checked | None"
    sensitivity: "Sensitivity | None"
    not_varied: tuple[str, ...]
    speed: Speed
    next_commands: tuple[str, ...]


def data_of(
    finished: "Finished", folder: "Path", trials: dict[str, int], checked: "Checked | None", varied: "Varied | None"
) -> BacktestData:
    run, result = finished.run, result_of(finished.run)
    place = option(folder)
    return BacktestData(
        name=finished.name,
        folder=str(folder),
        fingerprint=finished.identity.fingerprint,
        played=_played(finished),
        assumptions=finished.assumptions,
        waits=finished.waits,
        result=result,
        ended=_ended(run),
        differences=run.closing or 0,
        cannot_know=what_it_cannot_know(result),
        trials=trials,
        lookahead=checked,
        sensitivity=varied.table if varied else None,
        not_varied=varied.left_out if varied else (),
        speed=Speed(
            len(run.ends) - finished.done_before, finished.elapsed_s, run.driver.count.due, run.driver.count.ran
        ),
        next_commands=(f"tradebot report {place}", f"tradebot trades {place}", f"tradebot compare {folder} OTHER"),
    )


def _ended(run: "Run") -> dict[str, int]:
    counts: Counter[str] = Counter()
    for of_session in run.made.facts.ended_for().values():
        counts.update({str(reason or SENT): count for reason, count in of_session.items()})
    return dict(counts.most_common())


def _played(finished: "Finished") -> Played:
    run, market = finished.run, finished.planned.market
    strategies: Sequence[Strategy] = run.made.world.strategies
    return Played(
        bars=sum(bars_in(market, place) for place in range(len(run.ends))),
        symbols=market.symbols,
        strategies=tuple(one.name for one in strategies),
        configuration=finished.planned.configuration,
        data=finished.identity.data,
    )
