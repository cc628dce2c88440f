"""A position as exit rules see it. A gain is positive on either side."""

from decimal import Decimal
from functools import cached_property

from msgspec import Struct, field

from tradebot.model.bar import Quote
from tradebot.model.instrument import whole_lots
from tradebot.model.position import Kept, Outlook, Position


class Held(Struct, frozen=True, dict=True):
    """A position with the best price since it was opened: the highest for a long, the lowest for a short.

    `kept` is what else the books keep of it, `outlook` what is known about its symbol besides the price.
    """

    position: Position
    best: Decimal
    kept: Kept = field(default_factory=Kept)
    outlook: Outlook = field(default_factory=Outlook)

    def gain(self, price: Decimal) -> Decimal:
        """Return the gain at `price` as a fraction of the average entry price."""
        return (price - self.entry) / self.entry * self.direction

    def pullback(self, price: Decimal) -> Decimal:
        """Return how far `price` has pulled back from the best price, as a fraction of the best price."""
        return (self.best - price) / self.best * self.direction

    def price_at(self, gain: Decimal) -> Decimal:
        """Return the price at which the position has gained this fraction of its average entry price."""
        return self.entry * (1 + self.direction * gain)

    @property
    def original_quantity(self) -> Decimal | None:
        """Return how many shares it was opened with, unsigned; None if the books know of fewer than are held."""
        original = self.kept.original_quantity
        if original is None:
            original = self.position.original_quantity
        return None if original < abs(self.position.quantity) else original

    def whole_lots(self, shares: Decimal) -> Decimal:
        """Return unsigned shares rounded down to what can be ordered, as far as the position's instrument is known."""
        return whole_lots(self.kept.instrument, shares) if self.kept.instrument else shares

    @cached_property
    def entry(self) -> Decimal:
        return self.position.average_price

    @cached_property
    def direction(self) -> int:
        """Return +1 for a long and -1 for a short."""
        return 1 if self.position.quantity > 0 else -1


def exit_price(position: Position, quote: Quote) -> Decimal:
    """Return the price at which the position could be closed now: the bid for a long, the ask for a short."""
    return quote.bid if position.quantity > 0 else quote.ask


def best_price(position: Position, quote: Quote | None, stored: Decimal | None) -> Decimal:
    """Return the best price so far, starting at the entry price; it only ever moves in the position's favor.

    It moves no farther than the last trade, because a wrong quote that became the best price would stay it.
    """
    known = position.average_price if stored is None else stored
    if quote is None:
        return known
    if position.quantity > 0:
        return max(known, min(quote.bid, quote.last))
    return min(known, max(quote.ask, quote.last))


def worst_price(position: Position, quote: Quote | None, stored: Decimal | None) -> Decimal:
    """Return the worst price so far, starting at the entry price; it only ever moves against the position."""
    known = position.average_price if stored is None else stored
    if quote is None:
        return known
    return min(known, quote.bid) if position.quantity > 0 else max(known, quote.ask)
