"""What a strategy may want. The core turns wants into candidates, and gates and limits decide.

`Open` becomes an entry; a wished quantity can only make it smaller, and the stop and targets it names close the
position whatever exits are configured. `Target` becomes the difference to what the strategy holds; what would cross
from long to short closes first. `Reduce` and `Close` become exits of the strategy's own shares: no entry gate is asked,
and they go out while the bot is halted.
"""

from decimal import Decimal

from msgspec import Struct

from tradebot.model.candidate import STRATEGY_SOURCE, Component, OptionContract, ScaleOutLevel, Side
from tradebot.model.decision import Decision


class Open(Struct, frozen=True):
    """Open a position in a symbol that the strategy doesn't hold.

    `score` is the conviction, in -1..1, and its sign agrees with the side. `coverage`, 0..1, is the share of the score
    that has data, or None if that means nothing here. `quantity` is a wish in shares; limits may make it smaller.
    `stop_loss_fraction` and `profit_target_fraction` are distances from the entry price as fractions of it, and close
    the position whatever exits are configured; so do `targets`, which close it in parts, at rising levels of gain.
    `decisions` are the strategy's own filters, with their numbers, and `contracts` the options behind it, if it was
    proposed because of options.
    """

    symbol: str
    side: Side
    score: float
    coverage: float | None = None
    components: tuple[Component, ...] = ()
    decisions: tuple[Decision, ...] = ()
    quantity: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    source: str = STRATEGY_SOURCE
    targets: tuple[ScaleOutLevel, ...] = ()
    contracts: tuple[OptionContract, ...] = ()


class Target(Struct, frozen=True):
    """Hold this much of a symbol, and keep working toward it until the strategy's slot is over.

    Give either `weight`, a share of the strategy's allotment (1 is all of it, negative is short), or `quantity` in
    signed shares. Both are rounded toward zero to whole shares, and zero means hold none. The core works out the
    difference and sells before it buys.
    """

    symbol: str
    weight: Decimal | None = None
    quantity: Decimal | None = None
    score: float | None = None
    decisions: tuple[Decision, ...] = ()


class Reduce(Struct, frozen=True):
    """Close a part of a position that the strategy holds; `quantity` is unsigned, rounded down to whole shares."""

    symbol: str
    quantity: Decimal
    why: str


class Close(Struct, frozen=True):
    """Close a position that the strategy holds, for a reason in the strategy's own words."""

    symbol: str
    why: str


Want = Open | Target | Reduce | Close
