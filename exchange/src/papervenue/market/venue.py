"""Describe a market's venue: its dialect, sessions, instruments and rules, and the APIs that its exchange serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
from msgspec import Struct

from papervenue.market.hours import HOURS, XNYS
from papervenue.market.instruments import Instrument
from papervenue.times import DAY

if TYPE_CHECKING:
    from papervenue.market.spec import MarketSpec

Dialect = Literal["alpaca", "plain"]
ClientIds = Literal["unique", "while_open", "free"]
_ZERO, _ONE = Decimal(0), Decimal(1)


class Rules(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a plain venue demands and charges.

    `client_ids` says how long an order's client id is unique: for ever, while the order is open, or never. A limit may
    be away from the last price by at most the fraction `collar`. A fill pays the fraction `maker_fee` or `taker_fee` of
    its notional, and `contract_fee` for each unit of quantity; the fee is told and booked `fees_after_us` microseconds
    later. A liquidation closes the fraction `liquidation_part` of a position at a time, for the fraction
    `liquidation_fee` of its notional. With `brackets`, a stop may hang on an order that opens a position. With
    `attached`, any orders may hang on another one and work once it has filled. With `edits`, the size and the prices of
    an open order may be changed in place. With `corrections`, the staff may correct the price of an execution.
    """

    client_ids: ClientIds = "while_open"
    collar: Decimal | None = None
    maker_fee: Decimal = _ZERO
    taker_fee: Decimal = _ZERO
    contract_fee: Decimal = _ZERO
    fees_after_us: int = 0
    liquidation_fee: Decimal = _ZERO
    liquidation_part: Decimal = Decimal("0.25")
    brackets: bool = False
    attached: bool = False
    edits: bool = False
    corrections: bool = False

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with them."""
        if self.client_ids not in get_args(ClientIds):
            yield f"client_ids is one of {', '.join(get_args(ClientIds))}"
        fractions = (self.collar or _ZERO, self.maker_fee, self.taker_fee, self.liquidation_fee)
        if not all(number.is_finite() and 0 <= number <= 1 for number in fractions):
            yield "collar and fees are fractions from 0 to 1"
        if not 0 <= self.contract_fee < Decimal("Infinity") or not 0 < self.liquidation_part <= _ONE:
            yield "contract_fee is at least 0, and liquidation_part a fraction above 0"
        if not 0 <= self.fees_after_us <= DAY:
            yield "fees_after_us is at most a day"


class Venue(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a market's venue is like: by default Alpaca, with shares in New York's sessions.

    A `plain` venue has margined accounts, an instrument for each symbol, rules of its own, and the sessions of any
    named calendar. `faces` are the APIs that the exchange serves.
    """

    dialect: Dialect = "alpaca"
    calendar: str = XNYS.name
    instruments: tuple[Instrument, ...] = ()
    rules: Rules = Rules()
    faces: tuple[str, ...] = ("flow", "alpaca")

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values, without those at their defaults."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields

    @classmethod
    def from_fields(cls, fields: object) -> Venue:
        """Read the output of `to_fields`; raise ValueError for anything else."""
        return msgspec.convert(fields, cls)

    @property
    def of_months(self) -> bool:
        """Return True if its instruments are months of futures."""
        return bool(self.instruments) and all(instrument.root for instrument in self.instruments)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(instrument.symbol for instrument in self.instruments)


ALPACA = Venue()


def problems(spec: MarketSpec) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a market's venue, each with a hint."""
    venue = spec.venue
    if venue.dialect not in get_args(Dialect) or venue.calendar not in HOURS:
        yield f"unknown dialect {venue.dialect!r} or calendar {venue.calendar!r}", f"calendars are {', '.join(HOURS)}"
    elif venue.dialect == "alpaca":
        if (venue.instruments, venue.calendar, venue.rules) != (ALPACA.instruments, ALPACA.calendar, ALPACA.rules):
            yield "Alpaca's dialect is for shares in New York's sessions", "use the dialect plain for anything else"
    else:
        hint = "market/instruments.py and market/venue.py say what an instrument and a venue's rules hold"
        yield from ((message, hint) for message in (*venue.rules.problems(), *_instrument_problems(spec)))
    if not venue.faces:
        yield "an exchange without faces can't be asked anything", "name at least one"


def _instrument_problems(spec: MarketSpec) -> Iterator[str]:
    if spec.source == "daily" or (spec.source != "generated" and not spec.venue.of_months):
        yield "a plain venue's market is generated, or of recorded minutes if its instruments are months of futures"
    if spec.corporate_actions or spec.costs.commissions or spec.costs.interest:
        yield "a plain venue's market has no corporate actions, and rules instead of costs"
    for instrument in spec.venue.instruments:
        yield from (f"{instrument.symbol}: {problem}" for problem in instrument.problems())
        if instrument.settlement != "margined":
            yield f"{instrument.symbol}: a plain venue's accounts are margined"
    times = Counter(instrument.symbol for instrument in spec.venue.instruments)
    if set(times) != set(spec.symbols) or set(times.values()) != {1}:
        yield "a plain venue's market names the instrument of each symbol once"
