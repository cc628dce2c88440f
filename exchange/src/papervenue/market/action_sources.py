"""Provide corporate actions: generated from the market's seed, or read from a CSV file next to the recorded bars.

The file next to `bars.csv` is `bars.actions.csv`, with the columns
type,symbol,date,rate,new_rate,old_rate,payable_date. `date` is the first session whose bars show the action; recorded
bars are raw, as traded. A cash_dividend uses only `rate`, and a forward_split or reverse_split only `new_rate` and
`old_rate`. Rows for other days or symbols are ignored. A market of daily bars also has the actions before its first
session.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Container, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random

from papervenue.chance import random_stream
from papervenue.jsontext import to_decimal
from papervenue.market.actions import DIVIDEND, FORWARD_SPLIT, NAME_CHANGE, REVERSE_SPLIT, SPLITS, Action
from papervenue.market.actions import before_trading as effect_of
from papervenue.market.bars import usd
from papervenue.market.generator import GeneratedBars
from papervenue.market.sessions import Calendar
from papervenue.market.spec import MarketError
from papervenue.private_files import open_own

_COLUMNS = ("type", "symbol", "date", "rate", "new_rate", "old_rate", "payable_date")
_HINT = "the columns are " + ",".join(_COLUMNS)
_QUARTER = 63
_PAYERS = 0.6
_DECLARED_BEFORE, _PAID_AFTER = 10, 10
_SESSIONS_A_RENAME = 6_000
_DEAR, _CHEAP = Decimal(100), Decimal(12)
_RATIOS = {FORWARD_SPLIT: ((2, 1), (3, 1), (4, 1), (3, 2), (10, 1)), REVERSE_SPLIT: ((1, 5), (1, 8), (1, 10), (1, 20))}
_SESSIONS_A_SPLIT = 1_000
_CENT, _TEN_THOUSAND = Decimal("0.01"), 10_000


def actions_file_for(bars: Path) -> Path:
    """Return the path of the corporate-actions file that belongs to a file of bars."""
    return bars.with_name(f"{bars.stem}.actions.csv")


def generated_actions(bars: GeneratedBars, calendar: Calendar, symbols: Sequence[str], seed: int) -> Iterator[Action]:
    """Generate each symbol's actions from a seed: quarterly dividends, and rarely a split or a name change.

    The earliest date is the market's second session, so that there is a close before every action.
    """
    taken = set(symbols)
    for symbol in symbols:
        rng = random_stream(seed, symbol, "corporate actions")
        split = _split(bars, calendar, symbol, rng)
        dividends = list(_dividends(bars, calendar, symbol, split, rng))
        actions = [split, *dividends] if split is not None else dividends
        yield from actions
        yield from _name_changes(calendar, symbol, max((action.at_us for action in actions), default=0), taken, rng)


def _often(sessions: int, calendar: Calendar, times: int) -> int:
    """Return the average number of sessions between actions; short markets get more of them, or they would see none."""
    return min(sessions, times * len(calendar.market))


def _split(bars: GeneratedBars, calendar: Calendar, symbol: str, rng: Random) -> Action | None:
    index, chosen = int(_often(_SESSIONS_A_SPLIT, calendar, 10) * rng.random()), rng.random()
    if not 0 < index < len(calendar.market):
        return None
    price = usd(bars.close(symbol, index - 1))
    if _CHEAP <= price < _DEAR:
        return None
    kind = FORWARD_SPLIT if price >= _DEAR else REVERSE_SPLIT
    new, old = _RATIOS[kind][int(chosen * len(_RATIOS[kind]))]
    return _at(calendar, kind, symbol, index)._replace(new_rate=Decimal(new), old_rate=Decimal(old))


def _dividends(
    bars: GeneratedBars, calendar: Calendar, symbol: str, split: Action | None, rng: Random
) -> Iterator[Action]:
    pays, phase = rng.random() < _PAYERS, int(_often(_QUARTER, calendar, 1) * rng.random())
    part = Decimal(int(10 + 60 * rng.random()))
    for index in range(phase or _QUARTER, len(calendar.market) if pays else 0, _QUARTER):
        action = _at(calendar, DIVIDEND, symbol, index)
        shares = split.new_rate / split.old_rate if split is not None and split.at_us <= action.at_us else Decimal(1)
        rate = usd(bars.close(symbol, index - 1)) / shares * part / _TEN_THOUSAND
        yield action._replace(rate=max(rate.quantize(_CENT), _CENT))


def _name_changes(calendar: Calendar, symbol: str, last_us: int, taken: set[str], rng: Random) -> Iterator[Action]:
    """Yield a company's name change, which comes after all its other actions."""
    index = int(_often(_SESSIONS_A_RENAME, calendar, 40) * rng.random())
    if 0 < index < len(calendar.market) and calendar.market[index].pre_us > last_us:
        yield _at(calendar, NAME_CHANGE, symbol, index)._replace(new_symbol=_new_name(symbol, taken))


def _new_name(symbol: str, taken: set[str]) -> str:
    root = symbol.partition(".")[0][:5]
    name = next(root + letter for letter in "XQYWVU" if root + letter not in taken)
    taken.add(name)
    return name


def _at(calendar: Calendar, kind: str, symbol: str, index: int) -> Action:
    return date_action(calendar, kind, symbol, calendar.market[index].date)


def date_action(calendar: Calendar, kind: str, symbol: str, day: str) -> Action:
    """Return an action that takes effect in a session, and that is declared before and paid after it."""
    position = calendar.position_of(day)
    session = calendar.all[position]
    paid = calendar.all[position + min(_PAID_AFTER, 1 + len(calendar.market) // 5)] if kind == DIVIDEND else session
    declared = calendar.all[max(0, position - _DECLARED_BEFORE)]
    return Action(kind, symbol, session.date, effect_of(session), declared.open_us, paid.date, record_date=session.date)


def write_actions(path: Path, actions: Sequence[Action]) -> None:
    """Write dividends and splits into the state folder, in the format of `read_actions`."""
    own = open_own(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with os.fdopen(own, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for action in actions:
            numbers = (action.rate, "", "") if action.kind == DIVIDEND else ("", action.new_rate, action.old_rate)
            writer.writerow((action.kind, action.symbol, action.ex_date, *numbers, action.payable_date))


def read_actions(path: Path, calendar: Calendar, symbols: Sequence[str], *, history: bool = False) -> list[Action]:
    """Read the corporate-actions file next to the recorded bars; raise MarketError naming the first invalid line.

    With `history` it includes actions before the market's first session.
    """
    sessions = calendar.all[0 if history else calendar.first : calendar.first + len(calendar.market)]
    dates = frozenset(session.date for session in sessions)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            missing = set(_COLUMNS) - set(reader.fieldnames or ())
            if missing:
                raise MarketError(f"{path}: no column {', '.join(sorted(missing))}", _HINT)
            actions = [_read(row, calendar, dates, f"{path} line {reader.line_num}") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise MarketError(f"{path} can't be read: {error}", _HINT) from error
    return [action for action in actions if action is not None and action.symbol in set(symbols)]


def _read(row: dict[str, str], calendar: Calendar, dates: Container[str], where: str) -> Action | None:
    kind, day = row["type"], row["date"]
    if kind not in (DIVIDEND, *SPLITS):
        raise MarketError(f"{where}: type {kind!r}", f"use one of {', '.join((DIVIDEND, *SPLITS))}")
    if day not in dates:
        return None
    action = date_action(calendar, kind, row["symbol"], day)._replace(in_bars=True)
    if kind == DIVIDEND:
        return action._replace(rate=_positive(row, "rate", where), payable_date=row["payable_date"] or day)
    return action._replace(new_rate=_positive(row, "new_rate", where), old_rate=_positive(row, "old_rate", where))


def _positive(row: dict[str, str], name: str, where: str) -> Decimal:
    number = to_decimal((row[name] or "").strip())
    if number is None or number <= 0:
        raise MarketError(f"{where}: {name} is {row[name]!r}", "use a number above 0, such as 0.25 or 2")
    return number
