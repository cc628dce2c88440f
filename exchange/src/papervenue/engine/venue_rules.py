"""Define how venues differ: which orders they accept, when orders end, how accounts settle, and so on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from papervenue.engine.account import Account
    from papervenue.engine.engine_state import Deed, EngineState
    from papervenue.engine.matching import FillModel
    from papervenue.engine.orders import Fill, FillEffect, Order, OrderRequest, Policy, Replacement
    from papervenue.market.bars import Bar, Market
    from papervenue.market.sessions import Session
    from papervenue.market.spec import FillSpec


class Admission(NamedTuple):
    """What accepting an order entails: whether it opens or closes a position, and its reserve price in units.

    The reserve price determines how much buying power the order reserves.
    """

    intent: str
    reserve: int


class Mark(NamedTuple):
    """A moment of a session at which something besides trading happens.

    For example, orders become active or expire, or interest is posted.
    """

    at_us: int
    kind: str


Marks = Callable[["Session"], list[Mark]]


class AccountFigures(NamedTuple):
    """The figures that any account has, in its currency: cash, equity, and buying power."""

    cash: Decimal
    equity: Decimal
    power: Decimal


class Dialect(Protocol):
    """The venue-specific rules that the engine calls; stateless."""

    @property
    def deeds(self) -> Mapping[str, Deed]:
        """Return the venue-specific scheduled actions, by name."""

    @property
    def marks(self) -> Marks:
        """Return the function that lists the marks of a session."""

    def begin(self, floor: EngineState) -> None:
        """Schedule the actions that happen without a request, such as funding."""

    def fill_model(self, spec: FillSpec, market: Market) -> FillModel:
        """Return how orders fill."""

    def kinds(self, floor: EngineState, *, waiting: bool) -> frozenset[str]:
        """Return the kinds of marks at which something may happen now; `waiting` is True if any order is open."""

    def reach(self, floor: EngineState, mark: Mark) -> None:
        """Process one of a session's marks, such as its open or close.

        Orders are activated or ended, and the venue does whatever else is due then.
        """

    def price(self, market: Market, symbol: str, now_us: int) -> int | None:
        """Return the last price of a symbol in units, or None before it has one."""

    def multiplier(self, symbol: str) -> int:
        """Return the contract multiplier of positions that are paid in full: a unit is worth its price times this."""

    def worth(self, floor: EngineState, account: Account) -> AccountFigures: ...

    def admit(
        self, floor: EngineState, account: Account, request: OrderRequest, replaced: Order | None, policy: Policy
    ) -> Admission:
        """Return the admission of a request, or raise the Refusal of the first rule that isn't met."""

    def replaced_request(self, order: Order, wanted: Replacement, on_its_way: bool) -> OrderRequest:
        """Return the request of the replacing order; raise a Refusal if the order can't be replaced like this."""

    def expires_us(self, floor: EngineState, request: OrderRequest) -> int:
        """Return when an order that is accepted now will expire, in microseconds."""

    def bar_price(self, floor: EngineState, order: Order, bar: Bar, session: Session) -> int | None:
        """Return the price at which a bar fills an order, or None if it doesn't."""

    def settle(self, floor: EngineState, account: Account, order: Order, qty: Decimal, price: int) -> FillEffect | None:
        """Book a fill: change the account's cash and position. For a margin account, return the effect of the fill."""

    def after_fill(self, floor: EngineState, fill: Fill, before: tuple[Decimal, Decimal]) -> None:
        """Do what follows a recorded fill, such as charging fees.

        `before` is how much of the order had been filled until then, in shares and in USD.
        """

    def after_acceptance(self, floor: EngineState, order: Order) -> None:
        """Do what follows the acceptance of an order, such as shrinking a reduce-only order to its position."""

    @property
    def auctions(self) -> frozenset[str]:
        """Return the times in force that wait for an auction, if the fill model has auctions."""

    @property
    def legs_reduce(self) -> bool:
        """Return True if the legs of an order only reduce a position."""

    @property
    def watches(self) -> bool:
        """Return True if margins are checked in every minute."""

    def watched_symbols(self, floor: EngineState) -> frozenset[str]:
        """Return the symbols in which any account has a position; `review` checks their prices."""

    def review(self, floor: EngineState) -> None:
        """Check margins at the end of a minute in which a watched symbol traded."""
