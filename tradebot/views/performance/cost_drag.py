"""What trading cost by kind, and how much faster the account would have grown without it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from tradebot.model.account import CashKind, CashMovement
from tradebot.views.performance import statistics
from tradebot.views.performance.fees import Fee, cash_kind, fee_of
from tradebot.views.performance.history import History
from tradebot.views.performance.report import Costs, Unit
from tradebot.views.performance.report_rows import Cost
from tradebot.views.performance.return_figures import A_YEAR, LOST, figure
from tradebot.views.performance.returns import Path
from tradebot.views.slippage import cost_usd

BPS = 10_000
INSIDE = "it is inside the prices of fills"


class Charge(NamedTuple):
    """An amount in USD that was paid (positive) or given back."""

    at: datetime
    usd: float


class Kind(Struct, frozen=True):
    """A kind of cost with its charges, oldest first."""

    name: str
    label: str
    charges: tuple[Charge, ...]
    note: str = ""


def cost_kinds(history: History) -> tuple[Kind, ...]:
    """Return what the account paid for trading, borrowing cash and shorting, and what its fills cost against the quote.

    Interest and funding that were earned are no cost.
    """

    def paid(kind: CashKind) -> Callable[[CashMovement], bool]:
        return lambda each: cash_kind(each) is kind and each.amount_usd < 0

    return (
        Kind("commission", "Commissions", _charged(history, lambda each: fee_of(each) is Fee.COMMISSION)),
        Kind("fees", "Other fees", _charged(history, lambda each: fee_of(each) is Fee.OTHER)),
        Kind("interest", "Interest on borrowed cash", _charged(history, paid(CashKind.INTEREST))),
        Kind("funding", "Funding", _charged(history, paid(CashKind.FUNDING))),
        Kind("borrow", "Stock borrow fees", _charged(history, lambda each: fee_of(each) is Fee.BORROW)),
        Kind("slippage", "Slippage", tuple(_slippage(history)), INSIDE),
    )


def _charged(history: History, counts: Callable[[CashMovement], bool]) -> tuple[Charge, ...]:
    return tuple(Charge(each.at, -float(each.amount_usd)) for each in history.movements if counts(each))


def _slippage(history: History) -> Iterator[Charge]:
    """Yield what each fill of ours cost against the last midpoint known before it.

    That is the one on arrival, but no pass sees an order arrive that fills at once; then it is the one at sending, or
    else at decision.
    """
    for fill in (owned.fill for owned in history.fills):
        sent = history.sent.get(fill.venue_order_id)
        own = sent.traded_by if sent else None
        if sent and own:
            known = (each for each in (sent.order.arrival_mid, own.send_mid, own.decision_mid) if each is not None)
            middle = next(known, None)
            if middle is not None:
                yield Charge(fill.at, float(cost_usd(fill, middle)))


def costs_of(kinds: Sequence[Kind], path: Path, traded_usd: Decimal) -> Costs | None:
    """Return what each kind cost along a path; None if nothing was seen or paid.

    A cost is given back to the return of the session in which it was paid, as a share of the equity before it. Sizes
    and trades stay as they were.
    """
    within = [(kind, _within(kind.charges, path)) for kind in kinds]
    paid = [(kind, charges) for kind, charges in within if charges]
    if not path.steps or not paid:
        return None
    after, traded, yearly = _cagr(path, ()), float(traded_usd), partial(figure, len(path.returns))

    def row(name: str, label: str, charges: Sequence[Charge], note: str) -> Cost:
        usd, without = sum(each.usd for each in charges), _cagr(path, charges)
        drag = None if without is None or after is None else without - after
        return Cost(name, label, usd, BPS * usd / traded if traded else None, drag, note)

    every = list(chain.from_iterable(charges for _, charges in paid))
    return Costs(
        rows=tuple(row(kind.name, kind.label, charges, kind.note) for kind, charges in paid),
        total=row("all", "All together", every, ""),
        before=yearly("cagr_before_costs", "CAGR before costs", Unit.YEARLY, A_YEAR, _cagr(path, every), LOST),
        after=yearly("cagr_after_costs", "CAGR after costs", Unit.YEARLY, A_YEAR, after, LOST),
    )


def _within(charges: Iterable[Charge], path: Path) -> list[Charge]:
    if path.start is None or not path.steps:
        return []
    return [each for each in charges if path.start.at < each.at <= path.steps[-1].after.at]


def paid_usd(kinds: Iterable[Kind], path: Path) -> float:
    """Return what all kinds cost along a path, in USD."""
    return sum(each.usd for kind in kinds for each in _within(kind.charges, path))


def _cagr(path: Path, charges: Iterable[Charge]) -> float | None:
    """Return CAGR along a path with charges given back; None for less than a year, or if everything was lost."""
    returns, left = list[float](), sorted(charges)
    place = 0
    for step in path.steps:
        back = 0.0
        while place < len(left) and left[place].at <= step.after.at:
            back, place = back + left[place].usd, place + 1
        if step.value is not None:
            returns.append(step.value + back / float(step.before.equity_usd))
    return statistics.cagr(returns, len(returns) / path.per_year) if len(returns) >= A_YEAR else None
