"""`tradebot backtest`: run the bot on past days with its own passes, and store the results."""

from commands.backtest.run_options import (
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
from commands.report.files import Files, Frame, Html, Plot, files_of
from commands.shared.declaration import VerbPurpose, verb
from commands.shared.verb_options import Explain, Json, Report, finish, with_options
from tradebot.errors import OperatorError

EXAMPLES = """tradebot backtest --sessions 20
tradebot backtest --profile rotation --bars etfs.parquet --from 2019-01-02 --cost slippage_bps=5
tradebot backtest --bars minutes.csv --bar-stamp start --fill next-open --check-lookahead"""


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
    """Backtest your bot on past or generated days.

    It is the bot itself: the same strategies, gates, sizing, exits and orders, on the embedded exchange, with your
    configuration or a profile. No account, no keys, no network. Every assumption is shown, and whether it is
    optimistic. Each run is stored in STATE/backtests, for report, trades and compare; the same command always gives the
    same result. Ctrl-C stops the run and keeps the finished sessions. Exits with code 10 if --check-lookahead finds
    anything, or if a strategy that answers for a whole session at once gives other answers when it can't see the later
    bars.
    """
    from commands.backtest.report import run

    run_options = RunOptions(name, resume, force, _cuts(cuts, wish.recorder) if check_lookahead else None, sensitivity)
    finish(_draw_files(files_of(plot, html, frame), run(wish, run_options)), as_json, explain)


def _cuts(cuts: int, recorder: str) -> int:
    if recorder != "full":
        raise OperatorError("--check-lookahead compares every decision", "leave out --recorder")
    return cuts


def _draw_files(files: Files, report: Report) -> Report:
    """Write the requested picture, page and tables of a finished run, and return its report with their names."""
    if not files:
        return report
    from commands.report.page import with_files
    from commands.report.report_inputs import run as account
    from tradebot.views.trades.trade_row import Choice

    return with_files(report, account([report.data.folder], None, None, Choice()).data, files)
