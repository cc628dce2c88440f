"""Define the engine's vocabulary: order requests, orders and their executions.

Prices are in units of 0.0001 USD, times are microseconds of engine time, and quantities are exact decimals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import NamedTuple

from papervenue.market.bars import usd
from papervenue.refusal import Refusal, invalid


class Policy(NamedTuple):
    """How the venue treats one request; the defaults are the exchange's usual behavior.

    - `refuses_class`: a class of orders that the venue doesn't accept, such as oco.
    - `refuses_marketable`: a replacement can't move a take-profit to or through the current market.
    - `counts_own_shares`: the replacement of an exit needs shares besides those that the old order claims.
    - `starts_over`: a replacement doesn't take over the fills of the old order, so it can fill its quantity again.
    - `leaves_legs_out`: the answer to an order or a replacement doesn't show the legs.
    - `holds_legs`: the second order of an oco is shown as held although it works.
    - `frees_after_us`: how long the shares of a canceled exit stay unavailable, in microseconds of engine time.
    - `tells_after_us`: how long after one exit's fill the other exit is reduced; until then both can fill.
    """

    refuses_class: str = ""
    refuses_marketable: bool = False
    counts_own_shares: bool = False
    starts_over: bool = False
    leaves_legs_out: bool = False
    holds_legs: bool = False
    frees_after_us: int = 0
    tells_after_us: int = 0


USUAL = Policy()
"""How this exchange behaves unless a fault changes it."""


TERMINAL = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})
"""Statuses of finished orders."""
WAITING = frozenset({"accepted", "pending_new", "held"})
"""Statuses of orders that haven't reached the book yet and can't fill."""
MAKER, TAKER, LIQUIDATION, SETTLEMENT, ASSIGNMENT = "maker", "taker", "liquidation", "settlement", "assignment"
"""The kinds of a fill on margin: it provided or took liquidity, or the venue closed a position."""
FORCED = frozenset({LIQUIDATION, SETTLEMENT, ASSIGNMENT})
"""The kinds of fills that the venue makes by itself."""
ATTACHED = "attached"
"""The class of an order that becomes active once its parent has filled, and ends if the parent ends otherwise."""
LAST, MARK, INDEX = "last", "mark", "index"
"""The prices that can trigger a stop. Mark and index follow the trades, but ignore the extremes of a minute."""
BUST, CORRECT = "trade_bust", "trade_correct"
"""Amendments that the venue may make to an execution, as named in the stream."""
_ZERO = Decimal(0)
_NINE_PLACES = Decimal("1e-9")
"""Shares are counted in billionths, so that amounts can be added and subtracted without a remainder."""


class StopLoss(NamedTuple):
    """The protective leg of a complex order; with a limit it is a stop-limit order."""

    stop: int
    limit: int | None


TAKE_PROFIT = "take_profit"
"""The type of an order that the price elects by moving in the order's favor; with a limit, "_limit" is added."""


class OrderRequest(NamedTuple):
    """A well-formed order request: exactly one of qty (shares) and notional (USD); side is 1 to buy and -1 to sell.

    `trail_percent` is in percent, as Alpaca counts it: 1 is a hundredth of the price. A `post_only` limit order never
    takes liquidity. A stop acts on the price that `trigger` names: the last trade's price, or the mark price. `label`
    is the API's own id for the order. A fill cancels the other orders of the order's `oca_group`; with an `oca_type`
    other than 1, it only reduces them.
    """

    symbol: str
    side: int
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit: int | None
    client_order_id: str | None = None
    position_intent: str | None = None
    stop: int | None = None
    trail_price: int | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    order_class: str = "simple"
    take_profit: int | None = None
    stop_loss: StopLoss | None = None
    reduce_only: bool = False
    post_only: bool = False
    trigger: str = LAST
    label: str = ""
    oca_group: str = ""
    oca_type: int = 0


class Replacement(NamedTuple):
    """The changes that a replacement makes; None leaves a value unchanged. `trail` is in price units or percent."""

    qty: Decimal | None
    limit: int | None
    stop: int | None
    trail: Decimal | None
    time_in_force: str | None
    client_order_id: str | None


def shares_for(dollars: Decimal, price: int) -> Decimal:
    """Return how many shares `dollars` buys at a price in units, rounded down to nine decimals."""
    return (dollars / usd(price)).quantize(_NINE_PLACES, ROUND_DOWN)


@dataclass(slots=True, eq=False)
class Order:
    """A working or finished order of an account; orders are compared by identity.

    `qty` is the total that it may fill: the request's quantity, or less once the other leg has filled a part. `stop` is
    the price that elects it; for a trailing stop, it follows `hwm`. `reserve` is the price at which the order reserves
    buying power, `held_usd` the amount that it reserves now, and `claimed` the shares that it withholds from other
    orders now. `sequence` numbers the orders of all accounts in order of time, and `live_us` is when the order reached
    the market. `replacement` is the order in transit that is going to replace it, and has no fills before that. `fate`
    is a fault script's decision about the order.

    `starts_over`, `shown_held`, `frees_after_us` and `tells_after_us` say how the venue treats the order (`Policy`).
    `unheard` is how many shares another exit has filled without this order having been reduced yet. `why` says why the
    venue canceled the order, if its owner didn't.
    """

    id: str
    client_order_id: str
    request: OrderRequest
    intent: str
    sequence: int
    status: str
    submitted_us: int
    updated_us: int
    reserve: int
    expires_us: int
    account: str = ""
    created_us: int = 0
    live_us: int = 0
    qty: Decimal | None = None
    stop: int | None = None
    hwm: int | None = None
    elected: bool = False
    fate: str | None = None
    filled_qty: Decimal = _ZERO
    filled_usd: Decimal = _ZERO
    filled_us: int | None = None
    canceled_us: int | None = None
    expired_us: int | None = None
    failed_us: int | None = None
    replaced_us: int | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    replacement: Order | None = field(default=None, repr=False)
    parent: Order | None = field(default=None, repr=False)
    legs: tuple[Order, ...] = field(default=(), repr=False)
    held_usd: Decimal = _ZERO
    claimed: Decimal = _ZERO
    starts_over: bool = False
    shown_held: bool = False
    frees_after_us: int = 0
    tells_after_us: int = 0
    unheard: Decimal = _ZERO
    why: str = ""

    @property
    def symbol(self) -> str:
        """Return the symbol to trade."""
        return self.request.symbol

    @property
    def side(self) -> int:
        """Return 1 for a buy order and -1 for a sell order."""
        return self.request.side

    @property
    def order_class(self) -> str:
        """Return the class of the order's group, or "simple" if it has none."""
        return (self.parent or self).request.order_class

    @property
    def opens(self) -> bool:
        return self.intent.endswith("_to_open")

    @property
    def is_grouped(self) -> bool:
        return self.parent is not None or bool(self.legs)

    @property
    def is_open(self) -> bool:
        return self.status not in TERMINAL

    @property
    def remaining(self) -> Decimal:
        """Return how many shares aren't filled yet; an amount in dollars is converted at the reserved price."""
        if self.qty is not None:
            return self.qty - self.filled_qty
        return shares_for(self.remaining_usd, self.reserve)

    @property
    def remaining_usd(self) -> Decimal:
        assert self.request.notional is not None
        return self.request.notional - self.filled_usd

    def left_for(self, request: OrderRequest) -> Decimal:
        """Return the quantity that would still be unfilled if a request replaced the order now.

        If the request has the order's own quantity, what another exit of the group has filled is subtracted.
        """
        qty = self.qty if request.qty == self.request.qty else request.qty
        return max((qty or _ZERO) - self.filled_qty, _ZERO)

    def power_for(self, shares: Decimal) -> Decimal:
        """Return the buying power in USD that the order needs while this many of its shares are unfilled."""
        if not self.opens:
            return _ZERO
        if self.request.notional is not None:
            return self.remaining_usd
        return shares * usd(self.reserve)


Holding = tuple[Decimal, Decimal, Decimal]
"""Signed shares, their average price in USD, and how many of them were held at the last close."""


class FillEffect(NamedTuple):
    """What a fill did to a margin account: its realized profit, and its fee (None if the fee is charged later).

    `role` is maker, taker, or one of `FORCED`. `cost` is the total cost of the position before the fill, and `value` is
    the fill's quantity times its price.
    """

    role: str
    realized: Decimal
    fee: Decimal | None
    cost: Decimal
    value: Decimal


class Fill(NamedTuple):
    """One execution, with the state of its order and of the account's position afterward.

    `before` is the position before the execution; `settled` is its effect on a margin account.
    """

    id: str
    at_us: int
    order: Order
    qty: Decimal
    price: int
    cum_qty: Decimal
    leaves_qty: Decimal
    position_qty: Decimal
    complete: bool
    before: Holding
    settled: FillEffect | None = None

    @property
    def execution_id(self) -> str:
        """Return the part of the id that the stream shows for the execution."""
        return self.id.rpartition("::")[2]

    @property
    def previous_id(self) -> None:
        """Return None, because a fill amends no earlier execution."""

    @property
    def fill(self) -> Fill:
        """Return the fill itself; an amendment returns the fill that it amends."""
        return self

    @property
    def word(self) -> str:
        return "fill" if self.complete else "partial_fill"

    @property
    def order_status(self) -> str:
        return "filled" if self.complete else "partially_filled"

    @property
    def shares(self) -> Decimal:
        """Return by how many shares the position changes: negative for a sale."""
        return self.qty * self.order.side

    @property
    def net_amount(self) -> Decimal:
        """Return by how much cash changes, in USD: negative for a purchase; on margin, the profit minus the fee."""
        if self.settled is not None:
            return self.settled.realized - (self.settled.fee or _ZERO)
        return -self.shares * usd(self.price)


class Amendment(NamedTuple):
    """The bust or correction of an execution; `word` says which. It amends `previous`, a fill or another amendment.

    `qty` and `price` are those of the corrected execution or, in a bust, of the reversed one. `shares` and `net_amount`
    are the resulting changes of position and cash. The other fields are the state afterward.
    """

    id: str
    at_us: int
    word: str
    previous: Execution
    qty: Decimal
    price: int
    shares: Decimal
    net_amount: Decimal
    cum_qty: Decimal
    leaves_qty: Decimal
    position_qty: Decimal
    order_status: str

    @property
    def execution_id(self) -> str:
        """Return the part of the id that the stream shows for the execution."""
        return self.id.rpartition("::")[2]

    @property
    def previous_id(self) -> str:
        return self.previous.execution_id

    @property
    def fill(self) -> Fill:
        return self.previous.fill

    @property
    def order(self) -> Order:
        return self.fill.order


Execution = Fill | Amendment


class ExecutionThen(NamedTuple):
    """What the stream of trade updates shows of an execution."""

    execution_id: str
    previous_id: str | None
    price: int
    qty: Decimal
    position_qty: Decimal


def duplicate_client_id() -> Refusal:
    """Return the refusal of a client order id that was used before, no matter what became of that order."""
    return invalid("client_order_id must be unique")
