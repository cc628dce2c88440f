"""Swaps: positions that were closed to make room for others, the values that decided it, and how both turned out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec import Struct

from tradebot.model.auction import PositionValue, read_value
from tradebot.model.decision import Decision, Gate
from tradebot.model.instrument import notional
from tradebot.model.intent import IntentState, Operation
from tradebot.model.reasons import Reason
from tradebot.model.trade import DisplacedClose
from tradebot.views.trades.trade_row import LONG, TradeRow


class SwapRow(Struct, frozen=True):
    """One position that was closed to make room for another, as booked when it was decided.

    Values are on the scale of scores. `value` is the closed position's value: its `score` plus `gained` minus `cost`,
    the cost of a trade. `r` is its profit at that time as a multiple of its initial risk. `value_of_newcomer` had to be
    at least `needed`. These fields are None if the books don't have them. `displacement` compares scores instead of
    values, so it stores only how much higher the newcomer's score was (`advantage`) and how much higher it had to be
    (`threshold`).

    `closed_usd` is the closed position's profit until its exit, and `newcomer_usd` the newcomer's profit since then,
    open or closed; both are after fees. `left_usd` is what the closed position would have made from its exit to the
    `last` price, before fees. Each is None if the trade or the price isn't known. The ids are the ones that `tradebot
    trades` shows.

    The first close was for `quantity` shares, and `closes` counts it and the later ones. `held` is how many shares of
    the closed position are still open, None if the trade isn't known, and `works` says whether a close is working. If
    none is working although shares are open, the broker ended it early, and they wait for an exit or another swap.
    """

    at: datetime
    strategy: str
    symbol: str
    newcomer: str
    score: Decimal | None
    gained: Decimal | None
    cost: Decimal | None
    r: Decimal | None
    value: Decimal | None
    value_of_newcomer: Decimal | None
    needed: Decimal | None
    advantage: Decimal | None
    threshold: Decimal | None
    trade_id: str | None
    closed_usd: Decimal | None
    newcomer_id: str | None
    newcomer_usd: Decimal | None
    last: Decimal | None
    left_usd: Decimal | None
    quantity: Decimal
    closes: int
    held: Decimal | None
    works: bool


def swaps_of(
    records: Iterable[DisplacedClose],
    trades: Sequence[TradeRow],
    prices: Mapping[str, Decimal],
    within: timedelta,
    working: Collection[str] = (),
) -> Iterator[SwapRow]:
    """Yield the swaps among sent orders, oldest first.

    `prices` are the last known ones by symbol. A newcomer is the first position that was opened in its symbol after the
    decision, if that took no longer than `within`. `working` are our ids of working orders.
    """
    for record, why, after in _with_later_closes(records):
        intent = record.intent
        closed = next((row for row in trades if _was_held(row, *intent.holding, intent.at)), None)
        opened = next((row for row in trades if _came(row, intent.displaced_by, intent.at, within)), None)
        last = prices.get(intent.key.symbol)
        yield SwapRow(
            at=intent.at,
            strategy=intent.key.strategy,
            symbol=intent.key.symbol,
            newcomer=intent.displaced_by,
            **_worth(why),
            trade_id=closed.id if closed else None,
            closed_usd=closed.net_usd if closed else None,
            newcomer_id=opened.id if opened else None,
            newcomer_usd=_earned_so_far(opened) if opened else None,
            last=last,
            left_usd=_missed_profit(closed, last) if closed and last is not None else None,
            quantity=intent.quantity,
            closes=1 + sum(_came_out(way) and way.intent.operation is Operation.SUBMIT for way in after),
            held=closed.quantity - closed.closed_quantity if closed else None,
            works=any(way.intent.client_order_id in working for way in (record, *after)),
        )


def _with_later_closes(
    records: Iterable[DisplacedClose],
) -> Iterator[tuple[DisplacedClose, Decision, Sequence[DisplacedClose]]]:
    """Yield each swap's record with its decision, and with the closes sent for it later."""
    gave_ways, last = (
        list[tuple[DisplacedClose, Decision, list[DisplacedClose]]](),
        dict[tuple[str, str, str], list[DisplacedClose]](),
    )
    for record in records:
        key, why = (*record.intent.holding, record.intent.displaced_by), _swap_decision(record)
        if why is not None:
            last[key] = []
            gave_ways.append((record, why, last[key]))
        elif key in last:
            last[key].append(record)
    yield from gave_ways


def _swap_decision(record: DisplacedClose) -> Decision | None:
    """Return the decision that displaced a position; None for any other order, and for a close that is resent.

    A close is an order of its own, or a target that is repriced to close. One that the venue refused, or that never
    reached it, closed nothing.
    """
    intent = record.intent
    if not (_came_out(record) and intent.displaced_by and intent.operation is not Operation.CANCEL):
        return None
    whys = (each for each in record.verdicts if each.gate is Gate.EXIT and each.reason is Reason.DISPLACED)
    return next((each for each in whys if not isinstance(each.observed, str)), None)


def _came_out(record: DisplacedClose) -> bool:
    return record.state not in (IntentState.REJECTED, IntentState.ABANDONED)


def _worth(why: Decision) -> Mapping[str, Decimal | None]:
    observed, limit = (None if each is None else Decimal(str(each)) for each in (why.observed, why.limit))
    value = read_value(why.about)
    if value is None:
        return {**_parts(None), "value_of_newcomer": None, "needed": None, "advantage": observed, "threshold": limit}
    assert observed is not None
    assert limit is not None
    differences = {"advantage": observed - value.total, "threshold": limit - value.total}
    return {**_parts(value), "value_of_newcomer": observed, "needed": limit, **differences}


def _parts(value: PositionValue | None) -> Mapping[str, Decimal | None]:
    if value is None:
        return dict.fromkeys(("score", "gained", "cost", "r", "value"))
    return {"score": value.score, "gained": value.gained, "cost": value.cost, "r": value.r, "value": value.total}


def _was_held(row: TradeRow, strategy: str, symbol: str, at: datetime) -> bool:
    was_open = row.opened_at <= at and (row.closed_at is None or row.closed_at >= at)
    return was_open and (row.strategy, row.symbol) == (strategy, symbol)


def _came(row: TradeRow, symbol: str, at: datetime, within: timedelta) -> bool:
    return row.symbol == symbol and at <= row.opened_at <= at + within


def _earned_so_far(row: TradeRow) -> Decimal | None:
    """Return a trade's profit so far after fees; None if it is open without a last price."""
    if row.closed_at is not None:
        return row.net_usd
    return None if row.open_usd is None else row.net_usd + row.open_usd + row.open_fees_usd


def _missed_profit(row: TradeRow, last: Decimal) -> Decimal | None:
    """Return the profit that a closed position would have made since its exit."""
    if row.exit_price is None:
        return None
    sign = 1 if row.side == LONG else -1
    return notional(row.closed_quantity, sign * (last - row.exit_price), row.multiplier)
