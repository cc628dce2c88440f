"""`tradebot backtest`: play the bot on past days with its own passes, and keep the results."""

from functools import partial
from typing import TYPE_CHECKING

from commands.backtest.run_options import (
    MOST_CUTS,
    Again,
    BacktestOptions,
    CheckLookahead,
    Cuts,
    Force,
    Name,
    Resume,
    RunOptions,
    wish_of,
)
from commands.report import run as account
from commands.report import with_files
from commands.report.files import Files, Frame, Html, Plot, files_of
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Explain, Json, Report, finish, progress_bar, with_options
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from commands.backtest.run_backtest import Finished
    from tradebot.lab.backtest.lookahead import LookaheadResult

EXAMPLES = """tradebot backtest --sessions 20
tradebot backtest --profile rotation --bars etfs.parquet --from 2019-01-02 --cost slippage_bps=5
tradebot backtest --bars minutes.csv --bar-stamp start --fill next-open --check-lookahead"""


def run(wish: BacktestOptions, how: "RunOptions") -> Report:
    from commands.backtest.report import data_of, render, vary
    from commands.backtest.run_backtest import play

    with play(wish, how) as (finished, results):
        checked = _check_lookahead(finished, how.cuts) if how.cuts is not None else None
        varied = vary(finished, results) if how.sensitivity else None
    names = [strategy.name for strategy in finished.run.made.world.strategies]
    data = data_of(
        finished, results.place(finished.name), {name: len(results.trials(name)) for name in names}, checked, varied
    )
    code = ExitCode.FINDINGS if checked and checked.peeks else ExitCode.ERROR if data.differences else ExitCode.DONE
    return Report("backtest", data, render, code, whose=Identity("sandbox", finished.run.made.world.venue.name))


def _check_lookahead(finished: "Finished", cuts: int) -> "LookaheadResult":
    from commands.backtest.run_backtest import load_strategies
    from tradebot.lab.backtest.lookahead import check

    run, market, most = finished.run, finished.planned.market, cuts or MOST_CUTS
    with progress_bar("looking for look-ahead") as tell:
        if not run.made.served:
            return check(run, market, lambda: load_strategies(finished.planned), most, tell)
        from tradebot.app.venues import door_to
        from tradebot.lab.backtest.served_lookahead_check import check_served

        if door_to(run.plan.settings.venue).months:
            from tradebot.lab.backtest.contracts_venue import other_future
        else:
            from tradebot.lab.backtest.http_exchange import other_future
        elsewhere = partial(other_future, run.plan.settings, market)
        return check_served(run, market, lambda: load_strategies(finished.planned), most, tell, elsewhere)


@verb(
    "backtest",
    VerbPurpose.TRY,
    20,
    {"backtest/1": ("commands.backtest.report:BacktestData",)},
    elsewhere=True,
    epilog=EXAMPLES,
)
@with_options(wish=wish_of)
def backtest(
    wish: BacktestOptions,
    check_lookahead: CheckLookahead = False,
    cuts: Cuts = 20,
    sensitivity: Again = False,
    name: Name = None,
    resume: Resume = False,
    force: Force = False,
    plot: Plot = None,
    html: Html = None,
    frame: Frame = None,
    explain: Explain = False,
    as_json: Json = False,
) -> None:
    """Play other days, and say what your bot would have done.

    It is the bot itself: the same strategies, gates, sizing, exits and orders, on the embedded exchange, with your
    configuration or a profile. No account, no keys, no network. Every assumption is shown with what is optimistic
    about it. Each run is kept in STATE/backtests, for report, trades and compare; the same command always gives
    the same result. Ctrl-C keeps what is done. Exits with code 10 if --check-lookahead finds anything.
    """
    run_options = RunOptions(name, resume, force, _cuts(cuts, wish.recorder) if check_lookahead else None, sensitivity)
    finish(_draw_files(files_of(plot, html, frame), run(wish, run_options)), as_json, explain)


def _cuts(cuts: int, recorder: str) -> int:
    if recorder != "full":
        raise OperatorError("--check-lookahead compares every decision", "leave out --recorder")
    return cuts


def _draw_files(files: Files, report: Report) -> Report:
    """Write what is asked for; the files come first, so that a wrong name is refused before anything is played."""
    from tradebot.views.trades.trade_row import Choice

    return with_files(report, account([report.data.folder], None, None, Choice()).data, files) if files else report
