"""`tradebot bars`: fetch, import, list and check price bars."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.bars.shared import now_of, symbols_of, timeframe_of, timeframes, zones
from commands.shared.completion import symbols as watched
from commands.shared.declaration import VerbPurpose, group
from commands.shared.verb_options import Report, on_bot, progress_bar

if TYPE_CHECKING:
    from tradebot.app.wiring import App

group("bars", "Fetch, import, list and check price bars.")


@on_bot(
    "bars fetch",
    VerbPurpose.BARS,
    10,
    {"bars-fetch/1": ("commands.bars.fetch:BarsFetched",)},
    epilog="tradebot bars fetch  # what the strategies in use need\n"
    "tradebot bars fetch AAPL MSFT --timeframe 1Min --from 2026-11-02 --to 2026-11-13",
)
def fetch(
    bot: "App",
    symbols: Annotated[list[str] | None, typer.Argument(help="Symbols [the universe].", autocompletion=watched)] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", help="1Min or 1Day.", autocompletion=timeframes)
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help="First date, such as 2026-11-02.")] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last date [now].")] = None,
) -> Report:
    """Fetch bars into the bot's store.

    Without options, it fetches the bars that the strategies in use need. Stored bars aren't fetched again. If it is
    interrupted, or the source stops answering, the bars that arrived before are kept.
    """
    from commands.bars.fetch import day, fetching, run, wanted_of

    with fetching() as heard:
        return run(bot, wanted_of(bot, symbols or (), timeframe, day(start), day(end)), heard)


def stamps(incomplete: str) -> list[str]:
    return [name for name in ("start", "end") if name.startswith(incomplete)]


def decimals(incomplete: str) -> list[str]:
    return [name for name in ("point", "comma") if name.startswith(incomplete)]


@on_bot(
    "bars import",
    VerbPurpose.BARS,
    20,
    {"bars-import/2": ("commands.bars.import_files:BarsImported",)},
    epilog="tradebot bars import AAPL.csv --dry-run  # show what would be imported\n"
    "tradebot bars import HistoricalData.csv --symbol AAPL\ntradebot bars import ~/downloads/kibot\n"
    "tradebot bars import 2019-02.parquet --stamp end --zone UTC",
)
def _import(
    bot: "App",
    files: Annotated[
        list[Path], typer.Argument(help="Files (CSV, text, Parquet, zip), folders, or patterns.", metavar="FILE...")
    ],
    timeframe: Annotated[
        str | None,
        typer.Option(
            "--timeframe", help="The length of a bar: 1Min or 1Day [from the times].", autocompletion=timeframes
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", help="Shape of the files, from the table in docs/BARS.md."),
    ] = None,
    symbol: Annotated[
        str | None, typer.Option("--symbol", help="Symbol, for files without such a column [in the file's name].")
    ] = None,
    stamp: Annotated[
        str | None,
        typer.Option("--stamp", help="What minute bars are stamped with: start or end.", autocompletion=stamps),
    ] = None,
    zone: Annotated[
        str | None, typer.Option("--zone", help="Time zone of times that don't name one.", autocompletion=zones)
    ] = None,
    decimal: Annotated[
        str | None, typer.Option("--decimal", help="Decimal mark of numbers: point or comma.", autocompletion=decimals)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read, check and show the first bars, but store nothing.")
    ] = False,
) -> Report:
    """Import bars from files of many publishers and programs.

    A file's shape is recognized by its header or first row; prices must be as traded, not adjusted. Bad rows are
    skipped and shown. If the times can't be right, nothing is stored. Exits with code 10 in both cases.
    """
    from commands.bars.import_files import files_in, options_of, run

    name = symbols_of([symbol])[0] if symbol else None
    reading = {"shape": shape, "zone": zone, "decimal": decimal, "symbol": name}
    how = options_of(files, timeframe, stamp, now_of(bot), bot.day, **reading)
    with progress_bar("importing") as progress:
        return run(bot, files_in(files), how, dry_run=dry_run, progress=progress)


@on_bot(
    "bars list",
    VerbPurpose.BARS,
    30,
    {"bars-list/1": ("commands.bars.check:BarsStored",)},
    epilog="tradebot bars list",
)
def _list(bot: "App") -> Report:
    """List the bars that are stored.

    Reads the bot's own store; nothing is fetched.
    """
    from commands.bars.check import run_listing as run

    return run(bot)


@on_bot(
    "bars check",
    VerbPurpose.BARS,
    40,
    {"bars-check/1": ("commands.bars.check:BarsChecked",)},
    epilog="tradebot bars check\ntradebot bars check AAPL --timeframe 1Min",
)
def check(
    bot: "App",
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Check only these symbols.", autocompletion=watched)
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", help="Check only 1Min or 1Day.", autocompletion=timeframes)
    ] = None,
) -> Report:
    """Find stored bars that can't be right, and missing ones.

    Looks for gaps, duplicates, impossible prices, wrong zones and unadjusted splits. Exits with code 10 if it finds
    any, or if there are no bars.
    """
    from commands.bars.check import run

    chosen, only = symbols_of(symbols or ()), timeframe_of(timeframe) if timeframe else None
    with progress_bar("checking series") as progress:
        return run(bot, chosen, only, progress)
