"""Run `tradebot trades`: each trade, why it ended and its profit. Doesn't contact the broker."""

import os
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.text import Text

from commands.shared.files import picture_file, to_csv
from commands.shared.history import nothing_matches, read_history
from commands.shared.light_helpers import clean
from commands.shared.times import MINUTE, when
from commands.shared.verb_options import Report, caller, identity, open_bot
from commands.trades.candles import draw, draw_candles
from commands.trades.report import Trades, all_rows
from commands.trades.report import format_csv as trades_csv
from commands.trades.report import read as read_trades
from commands.trades.report import show as show_trades
from commands.trades.swaps import read as read_swaps
from commands.trades.swaps import show as show_swaps
from commands.trades.tax import NO_ADVICE, render, sales_of_year, summary
from commands.trades.tax import format_csv as tax_csv
from tradebot.adapters.text.redaction import without_keys
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, word
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trade import TradeNote
from tradebot.views.trades.trade_row import Choice, TradeRow, TradeRows, rules_of

TAG = re.compile(r"[a-z0-9][a-z0-9_-]{0,29}")
LONGEST = 1_000
MOST_TAGS = 20
NAMED = 5
"""How many trades an error names."""
EXAMPLE = 'tradebot trades note AAPL "bought the open" --tag swing'


class Noted(Struct, frozen=True):
    """A trade's new annotations: its id, symbol and opening time, and its tags and note."""

    id: str
    strategy: str
    symbol: str
    opened_at: datetime
    tags: tuple[str, ...]
    note: str


def words_of(typed: Sequence[str]) -> tuple[str, str | None]:
    """Return the trade and the text of `note TRADE [TEXT]`; raise OperatorError for other words."""
    first, *rest = typed
    if first != "note":
        hint = f"tradebot trades --symbol {word(first).upper()}, or {EXAMPLE}"
        raise OperatorError(f"trades has no verb {word(first)}", hint)
    if not rest:
        raise OperatorError("trades note needs a trade: its symbol or its id", EXAMPLE)
    if len(rest) > 2:
        raise OperatorError("the text of a note is one argument, so write it in quotes", EXAMPLE)
    return rest[0], rest[1] if len(rest) == 2 else None


def run_note(
    app: "App", name: str, text: str | None, tags: Sequence[str], untag: Sequence[str], *, remove: bool = False
) -> Report:
    """Add a note and tags to one trade. A note replaces the previous one; tags are added to the existing ones.

    With `remove`, the previous note is removed.
    """
    added, removed, written = _tags(tags), _tags(untag), clean(without_keys(text or "", os.environ)).strip()
    if remove and written:
        raise OperatorError("--remove deletes a note, so it takes no text", f"tradebot trades note {name} --remove")
    if not written and not added and not removed and not remove:
        raise OperatorError("there is nothing to note: write a text in quotes, or a tag", EXAMPLE)
    if len(written) > LONGEST:
        raise OperatorError(f"the note has {len(written):,} characters; at most {LONGEST:,} are allowed", "write less")
    row = find_trade(all_rows(app)[1].trades, name)

    def change(before: TradeNote | None) -> TradeNote:
        """Return a trade's new note, given its current one, which may have the trade's former symbol."""
        tags = before.tags if before else row.tags
        new_tags = [tag for tag in dict.fromkeys((*tags, *added)) if tag not in removed]
        if len(new_tags) > MOST_TAGS:
            raise OperatorError(
                f"the trade would have {len(new_tags):,} tags; at most {MOST_TAGS} are allowed", "--untag removes one"
            )
        note = before.note if before else row.note
        if remove and not note:
            raise OperatorError(f"trade {row.id} has no note to remove", "--untag removes a tag")
        note = "" if remove else written or note
        return TradeNote(row.key, tuple(new_tags), note, caller(), app.stamp_time())

    note = app.ledger.change_note(row.key, change)
    data = Noted(row.id, row.strategy, row.symbol, row.opened_at, note.tags, note.note)
    done = "Note removed from" if remove else "Noted on"
    return Report("trades-note", data, lambda out, _: _show(out, row, data, done), bot_identity=identity(app))


def find_trade(rows: "Sequence[TradeRow]", name: str) -> "TradeRow":
    """Return the trade with this id or, given a symbol, its open trade or else its last one.

    Raises OperatorError if there is none, or if several are open.
    """
    of_symbol = [row for row in rows if row.symbol == name.upper()]
    candidates = [row for row in rows if row.id == name.lower()] or of_symbol
    if len(candidates) > 1:
        candidates = [row for row in candidates if not row.closed_at] or [
            max(candidates, key=lambda row: (row.opened_at, row.last_exit_at or row.opened_at))
        ]
    if not candidates:
        raise OperatorError(f"no trade has the symbol or the id {word(name)}", "tradebot trades lists them with ids")
    if len(candidates) > 1:
        named = "; ".join(
            f"{row.id} of {row.strategy}, opened {when(row.opened_at, MINUTE)}" for row in candidates[:NAMED]
        )
        raise OperatorError(
            f"{len(candidates)} trades in {candidates[0].symbol} are open: {named}",
            f'tradebot trades note {candidates[0].id} "TEXT"',
        )
    return candidates[0]


def _tags(typed: Sequence[str]) -> list[str]:
    names = [tag.lower().removeprefix("#") for tag in typed]
    for name in names:
        if not TAG.fullmatch(name):
            raise OperatorError(
                f"{word(name)} can't be a tag: use up to 30 letters, digits, _ and -, starting with a letter or digit",
                EXAMPLE,
            )
    return names


def _show(console: "Console", row: "TradeRow", data: Noted, done: str) -> None:
    which = f"{row.side} {clean(row.symbol)} of {row.strategy}, opened {when(row.opened_at, MINUTE)}"
    console.print(f"{done} trade {data.id}: {which}, {row.status.value}", markup=False)
    if data.tags:
        console.print(f"Tags: {', '.join(data.tags)}", markup=False)
    if data.note:
        # A person's own words: as a Text, commands and times in them stay as they were typed.
        console.print(Text(f"Note: {data.note}"))


OLDEST_YEAR = 1900
"""The earliest tax year accepted. A smaller number is a typing error, such as 26 for 2026."""


def run(app: "App", choice: "Choice", *, by_lot: bool = False) -> Report:
    """Return the chosen trades, as a table of trades or of lots."""
    data = read_trades(app, choice, by_lot=by_lot)
    nothing = ""
    if data.known and not data.trades and not data.lots:
        history, rows = all_rows(app)
        nothing = nothing_matches(history, choice, app.rules.universe, _rules(rows))
    render = partial(show_trades, by_lot=by_lot, nothing=nothing)
    return Report("trades", data, render, bot_identity=identity(app))


def _rules(rows: "TradeRows") -> set[str]:
    return {rule for row in rows.trades for reason in row.reasons for rule in rules_of(reason)}


def run_swaps(app: "App", choice: "Choice") -> Report:
    """Return the positions that were closed for new entries."""
    return Report("trades-swaps", read_swaps(app, choice), show_swaps, bot_identity=identity(app))


def report_taxes(app: "App", year: int, choice: "Choice", csv: Path | None, *, by_lot: bool) -> Report:
    """Return the sales of a tax year, and write them to a file if one is named.

    Raises typer.Exit after writing to stdout. Raises OperatorError for an invalid year, and for options that select
    trades by anything but strategy or symbol.
    """
    if year < OLDEST_YEAR:
        raise OperatorError(f"--tax {year} is not a year", "write --tax 2026")
    if replace(choice, strategy=None, symbol=None) != type(choice)() or by_lot:
        raise OperatorError(
            "--tax can only be combined with --strategy, --symbol and --csv", f"tradebot trades --tax {year}"
        )
    data = sales_of_year(read_history(app), year, app.settings.tax.method, choice.strategy, choice.symbol)
    report = Report("trades-tax", data, render, bot_identity=identity(app))
    if csv is None:
        return report
    rows = pluralize(len(data.rows), "row")
    return to_csv(report, tax_csv(data), csv, rows, below=summary(data), apart=(*data.notes, NO_ADVICE))


def change_note(
    words: Sequence[str],
    tags: Sequence[str],
    untag: Sequence[str],
    state_dir: str | None,
    config: str | None,
    *,
    remove: bool,
) -> Report:
    name, text = words_of(words)
    with open_bot(state_dir, config) as bot:
        return run_note(bot, name, text, tags, untag, remove=remove)


def drawn_in(app: "App", report: Report, symbol: str | None, file: Path) -> Report:
    """Draw the trades, and return the report with the picture's name below it."""
    picture_file(file, "trades.svg")
    if symbol is None or report.verb != "trades":
        raise OperatorError("--plot draws the trades of one symbol", "tradebot trades --symbol SPY --plot trades.svg")
    draw(draw_candles(app, report.data.trades, symbol, report.data.as_of), file)

    def render(out: "Console", data: object) -> None:
        report.render(out, data)
        out.print(f"Written: {file}", markup=False)

    return replace(report, render=render)


def written_as_csv(report: Report, file: Path, *, by_lot: bool) -> Report:
    data: Trades = report.data
    what = pluralize(len(data.lots), "lot") if by_lot else pluralize(len(data.trades), "trade")
    return to_csv(report, trades_csv(data.trades, data.lots if by_lot else None), file, what)


def refuse_filters(filters_given: tuple[object, ...]) -> None:
    if any(each is not None for each in filters_given):
        raise OperatorError("a note is for one trade, so it takes no filters", 'tradebot trades note AAPL "TEXT"')


def refuse_what_goes_elsewhere(of_a_note: bool, both_to_stdout: bool) -> None:
    if of_a_note:
        raise OperatorError(
            "--tag, --untag and --remove are options of trades note", "tradebot trades note AAPL --tag swing"
        )
    if both_to_stdout:
        raise OperatorError("--json and --csv - can't both go to stdout", "tradebot trades --json --csv trades.csv")


def refuse_beside_swaps(filters_given: tuple[object, ...]) -> None:
    if any(each is not None for each in filters_given):
        raise OperatorError(
            "--swaps can only be combined with --from, --to, --strategy, --symbol and --json", "tradebot trades --swaps"
        )
