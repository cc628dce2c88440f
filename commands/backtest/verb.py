"""`tradebot backtest`: play the bot on other days, with its own passes, and keep what came of it."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.backtest.options import Wish
from commands.init.verb import Actions, BarStamp, Edge, Fill, FlowFolder, Seed, Sessions, Symbols
from commands.shared.completing import profiles
from commands.shared.days import From, To, days_of
from commands.shared.surface import Config, Json, Report, StateDir, finish
from tradebot.errors import ExitCode, OperatorError

if TYPE_CHECKING:
    from rich.console import Console

    from commands.backtest.playing import How
    from commands.backtest.report import Finished
    from tradebot.app.backtest.lookahead import Checked

MOST_CUTS = 100_000
Cost = Annotated[
    list[str] | None,
    typer.Option("--cost", metavar="NAME=VALUE", help="Set a cost, such as slippage_bps=5 or commission_bps=10."),
]


def run(wish: Wish, how: "How") -> Report:
    """Play what the options ask for, keep it in a folder, and report it."""
    from commands.backtest.playing import play
    from commands.backtest.report import data_of, document_of, trials_of
    from commands.backtest.screen import render

    finished, results = play(wish, how)
    results.add_trials(trials_of(finished))
    folder = results.save(finished.name, finished.run, document_of(finished))
    results.forget_checkpoint(finished.name)
    checked = _checked(finished, how.cuts) if how.cuts is not None else None
    names = [one.name for one in finished.run.made.world.strategies]
    data = data_of(finished, folder, {name: len(results.trials(name)) for name in names}, checked)
    code = ExitCode.FINDINGS if checked and checked.peeks else ExitCode.ERROR if data.differences else ExitCode.DONE
    return Report("backtest", data, lambda out: render(out, data), code, mode="sandbox")


def _checked(finished: "Finished", cuts: int) -> "Checked":
    """Play the run again in markets that are cut off."""
    from commands.backtest.playing import loaded
    from commands.shared.surface import progress_bar
    from tradebot.app.backtest.lookahead import check

    with progress_bar("looking for look-ahead") as tell:
        return check(finished.run, finished.planned.market, lambda: loaded(finished.planned), cuts or MOST_CUTS, tell)


def register(app: typer.Typer) -> None:
    """Register the verb."""

    @app.command(
        "backtest",
        epilog="tradebot backtest --sessions 20\n"
        "tradebot backtest --profile rotation --bars etfs.parquet --from 2015-01-02 --cost slippage_bps=5\n"
        "tradebot backtest --bars minutes.csv --bar-stamp start --fill next-open --check-lookahead",
    )
    def backtest(
        bars: Annotated[
            str | None,
            typer.Option("--bars", help="File of minute or daily bars, CSV or Parquet [a generated market]."),
        ] = None,
        bar_stamp: BarStamp = None,
        first: From = None,
        last: To = None,
        sessions: Sessions = None,
        cash: Annotated[
            float | None, typer.Option("--cash", min=1, help="USD to begin with [sandbox.cash_usd].")
        ] = None,
        fill: Fill = None,
        cost: Cost = None,
        prices: Annotated[
            str | None, typer.Option("--prices", help="Daily bars: raw (rebuilt, dividends paid) or adjusted.")
        ] = None,
        day_prices: Annotated[
            str | None, typer.Option("--day-prices", help="Daily bars: open-and-close, or close (a day of look-ahead).")
        ] = None,
        seed: Seed = None,
        edge: Edge = None,
        corporate_actions: Actions = None,
        flow: Annotated[
            str | None,
            typer.Option("--flow", metavar="FOLDER", help="Play the flow that the bot of this folder has fetched."),
        ] = None,
        flow_folder: FlowFolder = None,
        symbols: Symbols = None,
        profile: Annotated[
            str | None, typer.Option("--profile", help="Play this shipped profile instead.", autocompletion=profiles)
        ] = None,
        equity_at: Annotated[
            str, typer.Option("--equity-at", help="market, or last_fill to reproduce a study with stale prices.")
        ] = "market",
        margin: Annotated[
            str, typer.Option("--margin", help="reg_t, or free to reproduce a study without a broker.")
        ] = "reg_t",
        recorder: Annotated[
            str, typer.Option("--recorder", help="What to keep of passes: none, counts or full.")
        ] = "full",
        every_pass: Annotated[
            bool, typer.Option("--every-pass", help="Also run passes that would change nothing.")
        ] = False,
        check_lookahead: Annotated[
            bool, typer.Option("--check-lookahead", help="Play again without the future, and compare.")
        ] = False,
        cuts: Annotated[
            int, typer.Option("--cuts", min=0, max=MOST_CUTS, help="At how many moments to cut the future off; 0: all.")
        ] = 20,
        name: Annotated[str | None, typer.Option("--name", help="What to call the run [from its fingerprint].")] = None,
        resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
        force: Annotated[bool, typer.Option("--force", help="Replace a finished run of the same name.")] = False,
        plot: Annotated[
            Path | None, typer.Option("--plot", metavar="FILE", help="Also draw the curve: FILE.svg or FILE.png.")
        ] = None,
        html: Annotated[
            Path | None, typer.Option("--html", metavar="FILE", help="Also write the report as a web page.")
        ] = None,
        state_dir: StateDir = None,
        config: Config = None,
        as_json: Json = False,
    ) -> None:
        """Play your bot on other days, and say what it would have done.

        It is the bot itself: the same strategies, gates, sizing, exits and orders, on the embedded exchange, with your
        configuration or a profile. No account, no keys, no network. Every assumption is shown with what is optimistic
        about it. Each run is kept in STATE/backtests, for report, trades and compare; the same command always gives
        the same result. Ctrl-C keeps what is done. Exits with code 10 if --check-lookahead finds anything.
        """
        from commands.backtest.playing import How
        from commands.shared.pictures import checked

        picture = checked(plot, "curve.svg")
        days = days_of(first, last)
        if check_lookahead and recorder != "full":
            raise OperatorError("--check-lookahead compares every decision", "leave out --recorder")
        wish = Wish(
            state_dir, config, profile, bars, bar_stamp, days.first, days.last, sessions, seed, edge, flow_folder,
            corporate_actions, symbols, cash, fill, tuple(cost or ()), prices, day_prices, recorder, every_pass,
            equity_at, margin, flow,
        )  # fmt: skip
        report = run(wish, How(name, resume, force, cuts if check_lookahead else None))
        finish(_drawn(report, picture, html), as_json)


def _drawn(report: Report, picture: Path | None, html: Path | None) -> Report:
    """Write the pictures of a run that are asked for, and name them in its report."""
    from commands.report import verb as account
    from tradebot.views.performance.pnl import Choice

    files = [file for file in (picture, html) if file]
    if not files:
        return report
    found = account.run([report.data.folder], None, None, Choice())
    if picture:
        from commands.report.chart import draw

        draw(found.data, picture)
    if html:
        from commands.report.page import page
        from commands.shared.files import save

        save(page(found.data), html)

    def render(out: "Console") -> None:
        report.render(out)
        for file in files:
            out.print(f"Written: {file}", markup=False)

    return replace(report, render=render)
