"""Read what margin a contract needs: the venue answers it to an order that only asks (`whatIf`), and places none."""

import asyncio
from collections.abc import Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

from tradebot.adapters.wire.json_fields import DriftTally, RowError
from tradebot.model.instrument import MarginLevel
from tradebot.venues.ibkr.link import IbkrConnection
from tradebot.venues.ibkr.order_reports import number, positive
from tradebot.venues.ibkr.prices import last_price
from tradebot.venues.ibkr.wrapper import Ticks, VenueError

SIDES = "BUY", "SELL"
_AWAY = dict(zip(SIDES, (Decimal("0.99"), Decimal("1.01")), strict=True))
"""Where the limit of each side stands, as a part of the last price: there it would rest, were it ever an order."""
_PLACES = Decimal("0.000001")
_FIGURES = "initMarginChange", "maintMarginChange"


async def levels(line: IbkrConnection, details: Any, ticks: Ticks | None, tally: DriftTally) -> tuple[MarginLevel, ...]:
    """Return what a position in a contract needs, as fractions of its worth; nothing unless all of it is known.

    One contract is asked about on both sides, and the larger answer counts: against what is held, one of them needs
    less than a position alone.
    """
    try:
        price = last_price(ticks)
        asked = [_question(line, details, action, price) for action in _AWAY]
        told = await asyncio.gather(*(_answer(line, details.contract, order) for order in asked))
        return levels_of(details, price, told)
    except RowError as error:
        tally.note("margin", error.field_name, error.problem)
    except VenueError as error:
        tally.note("margin", "whatIf", f"is refused: {error}")
    except TimeoutError:
        tally.note("margin", "whatIf", "isn't answered with figures")
    return ()


def levels_of(details: Any, price: Decimal, told: Sequence[Any]) -> tuple[MarginLevel, ...]:
    """Return the levels that answers about one contract on each side make; raise RowError for no figure."""
    worth = price * positive("multiplier", details.contract.multiplier)
    most = [positive(name, max(number(name, getattr(state, name)) for state in told)) for name in _FIGURES]
    initial, maintenance = ((amount / worth).quantize(_PLACES, ROUND_UP) for amount in most)
    return (MarginLevel(Decimal(0), initial, maintenance),)


def _question(line: IbkrConnection, details: Any, action: str, price: Decimal) -> Any:
    from ib_async.order import Order as Message

    tick = positive("minTick", details.minTick)
    limit = (price * _AWAY[action] / tick).to_integral_value() * tick
    return Message(
        action=action, totalQuantity=Decimal(1), orderType="LMT", lmtPrice=limit, tif="DAY", account=line.account
    )


async def _answer(line: IbkrConnection, contract: Any, order: Any) -> Any:
    """Return the state that the venue gives an order that only asks; this is the one place that sends one."""
    order.whatIf = True
    answer = line.numbered(lambda number: line.client.placeOrder(number, contract, order))
    return (await asyncio.wait_for(answer, line.patience.quote))[-1]
