"""Bots that are broken on purpose where positions and candidates compete, one for each law of an auction's log."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord
from tradebot.orders import auctioning, two_orders
from tradebot.orders.changes import cancel_order
from tradebot.orders.entering import trade
from tradebot.orders.fitting import Cover, Step, is_busy, price_of, stop_steps
from tradebot.orders.protecting import on_tick


def open_before_the_close() -> None:
    """Open what a position gives way for in the very pass that asks for its close."""
    honest = auctioning._swap

    def hasty(world: Any, call: Any, account: Any, refused: Any, *given: Any) -> Any:
        account, closed = honest(world, call, account, refused, *given)
        account, opened = trade(world, call, account, refused.candidate)
        return account, (*closed[:-1], *opened)

    vars(auctioning)["_swap"] = hasty


def stops_replaced_by_looser_ones() -> None:
    """Replace each stop by one that is a thousandth of the price further from profit."""

    def looser(cover: Cover, looser_by: Decimal) -> Iterator[Step]:
        steps = tuple(stop_steps(cover, looser_by))
        yield from steps
        for stop in (one for one in cover.stops if not steps and cover.listing and not is_busy(one)):
            assert cover.listing is not None
            away = on_tick(cover.listing, price_of(stop) * (1 + cover.side.sign * Decimal("0.001")), cover.side)
            yield Step(Reason.STOP_TIGHTENED, stop.quantity, away, stop)

    vars(two_orders)["stop_steps"] = looser


def old_stops_go_first() -> None:
    """Cancel a stop, and then place the one that takes its place."""

    def canceled_first(world: Any, call: Any, desk: Any, cover: Cover, step: Step) -> Iterator[CandidateRecord]:
        for old in (*filter(None, (step.old,)), *step.others):
            yield cancel_order(world, call, desk, old.first, old.record, step.why)
        yield two_orders._placed(world, call, desk, cover, step)

    vars(two_orders)["_beside"] = canceled_first


AUCTION_CONTROLS: Mapping[str, Callable[[], None]] = {
    control.__name__.replace("_", "-"): control
    for control in (open_before_the_close, stops_replaced_by_looser_ones, old_stops_go_first)
}
