"""`--frame FILE`, and the same tables for notebooks: what an account was worth, traded and decided."""

from pathlib import Path
from typing import TYPE_CHECKING

from commands.report.report_inputs import read
from commands.shared.files import replacing
from commands.shared.history import read_history
from commands.shared.verb_options import open_bot
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.lab.performance.frames import Frames
from tradebot.lab.performance.frames import frames as frames_of
from tradebot.model.record import Job
from tradebot.views.trades.trade_row import Choice

if TYPE_CHECKING:
    import pandas as pd

JOBS = (Job.EVALUATE_EXITS, Job.TRADE_ONCE)
EVERYTHING = Choice()


def frames(folder: str | Path | None = None, config: str | None = None, choice: Choice = EVERYTHING) -> Frames:
    """Return the tables of a bot or of a backtest by its state folder; without one, of the bot of the environment.

    Fills and decisions are those of the chosen days, equity and trades those of `tradebot report`. Raises TradebotError
    if the folder can't be read.
    """
    with open_bot(str(folder) if folder else None, config) as bot:
        account, _ = read(bot, "", choice, lambda done, total: None, with_refusals=False)
        history = read_history(bot)
        fills = [each for each in history.fills if choice.days.has(each.fill.at, history.day)]
        passes = [cycle for job in JOBS for cycle in (bot.recorded.cycles(job=job) if bot.recorded else ())]
    within = (cycle for cycle in passes if choice.days.has(cycle.at, history.day))
    return frames_of(account, fills, sorted(within, key=lambda cycle: cycle.at))


def save(tables: Frames, file: Path) -> list[Path]:
    """Write each table to a file of its own, `run-equity.csv` and so on for `run.csv`, and return these.

    Raises OperatorError if one can't be written.
    """
    written = []
    for name, table in tables._asdict().items():
        place = file.with_name(f"{file.stem}-{name}{file.suffix}")
        with replacing(place) as part:
            _write(table, part, file.suffix.lower())
        written.append(place)
    return written


def _write(table: "pd.DataFrame", place: Path, kind: str) -> None:
    if kind == ".csv":
        table.to_csv(place, index=False)
        return
    try:
        import duckdb
    except ImportError as error:
        raise OperatorError("writing Parquet needs the data extra", install("data")) from error
    with duckdb.connect() as connection:
        connection.from_df(table).to_parquet(str(place))
