"""Show the tape on the page: fills, what the venue announced, and how the shown symbols moved; the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from heapq import nlargest
from itertools import islice, pairwise
from operator import itemgetter
from typing import Any, NamedTuple

from papervenue.engine.engine import Engine
from papervenue.jsontext import plain
from papervenue.page.formats import moment
from papervenue.page.recent import Recent, about
from papervenue.times import parse_time

MOST_FILLS = 40
MOST_MOVES = 30
_PLACES = 6

Row = tuple[int, dict[str, Any]]


def tape(engine: Engine, recent: Recent, names: Mapping[str, str], symbols: Iterable[str]) -> list[dict[str, Any]]:
    """Return the newest fills of the accounts whose names are given, and the newest moves of the symbols."""
    lines = (line for line in reversed(recent.trades) if line.get("account", "") in names or "account" not in line)
    told = [_told(engine, line, names) for line in islice(lines, MOST_FILLS)]
    # At equal times the fill comes first: it is what the eye looks for.
    rows = sorted([*told, *_moves(engine, symbols)], key=itemgetter(0), reverse=True)
    return [row for _, row in rows]


def _told(engine: Engine, line: dict[str, Any], names: Mapping[str, str]) -> Row:
    at_us = parse_time(line["at"])
    row = {"at": moment(engine, at_us), "event": line["event"], "account": names.get(line.get("account", ""), "")}
    if "fill_qty" not in line:
        return at_us, row | {"kind": "news", "about": about(line)}
    fields = {name: line[name] for name in ("side", "symbol", "price")}
    return at_us, row | {"kind": "fill", **fields, "qty": line["fill_qty"], "order": line["order_id"]}


class _Move(NamedTuple):
    share: float
    at_us: int
    symbol: str
    before: int
    after: int


def _moves(engine: Engine, symbols: Iterable[str]) -> list[Row]:
    """Return, for each of the newest minutes, the symbol whose last price changed most."""
    largest: dict[int, _Move] = {}
    for move in (move for symbol in symbols for move in _minutes(engine, symbol)):
        if move.at_us not in largest or abs(move.share) > abs(largest[move.at_us].share):
            largest[move.at_us] = move
    return [_moved(engine, largest[at_us]) for at_us in nlargest(MOST_MOVES, largest)]


def _minutes(engine: Engine, symbol: str) -> Iterator[_Move]:
    index = engine.market.calendars[symbol].begun(engine.now_us)
    if index is None:
        return
    day = engine.market.day(symbol, index)
    complete = day.complete(engine.now_us)
    for before, bar in pairwise(day.bars[max(0, complete - MOST_MOVES - 1) : complete]):
        if bar.close != before.close:
            yield _Move(bar.close / before.close - 1, bar.end_us, symbol, before.close, bar.close)


def _moved(engine: Engine, move: _Move) -> Row:
    usd = engine.market.grids[move.symbol].usd
    row = {"at": moment(engine, move.at_us), "kind": "move", "symbol": move.symbol, "price": plain(usd(move.after))}
    return move.at_us, row | {"before": plain(usd(move.before)), "change": f"{move.share:.{_PLACES}f}"}
