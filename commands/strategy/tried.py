"""What `tradebot strategy test` reports."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.strategy.needs import NeedsRow
from tradebot.model.candidate import Component, WantKind
from tradebot.model.decision import Decision
from tradebot.model.scale_out import ScaleOutLevel

if TYPE_CHECKING:
    from tradebot.model.record import StrategyRefusal


class WantRow(Struct, frozen=True):
    """One want; quantity in shares, weight as a share of the allotment, `why` in the strategy's own words.

    `declined` is the strategy's own decision against it, or None if the want goes on to the gates.
    """

    symbol: str
    want: WantKind
    side: str | None = None
    score: float | None = None
    coverage: float | None = None
    weight: Decimal | None = None
    quantity: Decimal | None = None
    stop_loss_fraction: Decimal | None = None
    profit_target_fraction: Decimal | None = None
    why: str = ""
    components: tuple[Component, ...] = ()
    decisions: tuple[Decision, ...] = ()
    declined: Decision | None = None
    targets: tuple[ScaleOutLevel, ...] = ()


class Cost(Struct, frozen=True):
    """What the answers took in seconds: the first one with its start, and the median of `again` later ones."""

    first_s: float
    later_s: float | None
    again: int
    limit_s: float | None


class Tried(Struct, frozen=True):
    """A strategy's answer at one moment. `refusal` is set if the bot would refuse the whole answer.

    `data` is "recorded" if it saw what a bot has stored, or "generated" from `seed`. `left_out` are symbols whose needs
    aren't met. `repeats` is False if the same view got another answer later, and None if it was asked only once.
    """

    name: str
    package: str
    own_process: bool
    data: str
    seed: int | None
    at: datetime
    times: str
    needs: NeedsRow
    universe: tuple[str, ...]
    left_out: "tuple[StrategyRefusal, ...]"
    wants: tuple[WantRow, ...]
    refusal: Decision | None
    repeats: bool | None
    cost: Cost
