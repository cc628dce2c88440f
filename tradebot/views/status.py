"""What the bot holds, may do and did last, as values that a screen, a page or a notice can show."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

from msgspec import Struct

from tradebot.judging.judgment import Judgment
from tradebot.learning.saying import in_a_word, stood_in
from tradebot.model.account import EquityPeak
from tradebot.model.decision import Gate
from tradebot.model.flow import Intake
from tradebot.model.intent import IntentRecord
from tradebot.model.order import Order
from tradebot.model.record import CycleRecord, Job
from tradebot.model.text import pluralize
from tradebot.model.trading import ReconcileMark, SlotClaim
from tradebot.views.downsampling import downsample
from tradebot.views.holdings import AccountMargin, Holding
from tradebot.views.profit import DayProfit

PLOTTED = 60


class FlowQuota(Struct, frozen=True):
    """The flow source's last report of our calls; None for whatever it didn't report."""

    at: datetime
    used_today: int | None
    daily_limit: int | None
    left_today: int | None


class Equity(Struct, frozen=True):
    """The account's equity in USD over the passes of the last session; `plot` has at most sixty points."""

    session: date
    passes: int
    first_usd: Decimal
    last_usd: Decimal
    low_usd: Decimal
    high_usd: Decimal
    plot: tuple[Decimal, ...]


def quota(passes: Sequence[CycleRecord]) -> FlowQuota | None:
    """Return the quota that the source reported to the newest pass of fetch-flow."""
    for cycle in reversed(passes):
        reported = cycle.quota
        if reported is not None and reported.used_today is not None:
            left = None if reported.daily_limit is None else max(reported.daily_limit - reported.used_today, 0)
            return FlowQuota(cycle.at, reported.used_today, reported.daily_limit, left)
    return None


def drawdown(seen: Equity | None, peak: EquityPeak | None) -> Decimal | None:
    """Return how far the last equity is below the highest one, as a fraction of that; None if either isn't known."""
    return max(1 - seen.last_usd / peak.highest, Decimal(0)) if seen and peak and peak.highest else None


def equity(passes: Sequence[CycleRecord]) -> Equity | None:
    """Return the equity of the newest session in which a pass saw the account."""
    seen = [(cycle.session, cycle.equity) for cycle in passes if cycle.equity is not None]
    values = [equity for session, equity in seen if session == seen[-1][0]]
    if not values:
        return None
    ends = values[0], values[-1], min(values), max(values)
    return Equity(seen[-1][0], len(values), *ends, downsample(values, PLOTTED))


class LastPass(Struct, frozen=True):
    """The last recorded pass of a job; `slot` is None if the records don't name it."""

    job: str
    at: datetime
    slot: str | None
    did: str


def last_pass(cycle: CycleRecord, answers: Sequence[Intake] = ()) -> LastPass:
    """Return what a recorded pass did; `answers` are the flow source's replies in it."""
    return LastPass(cycle.job.value, cycle.at, cycle.slot, _did(cycle, answers))


def last_reconcile(mark: ReconcileMark) -> LastPass:
    """Return what the last reconcile found."""
    found = f"{pluralize(mark.findings, 'finding')}, {mark.blocking} blocking"
    return LastPass(Job.RECONCILE.value, mark.at, None, found)


def _did(cycle: CycleRecord, answers: Sequence[Intake]) -> str:
    if cycle.job_decision is not None:
        return f"refused: {cycle.job_decision.reason}"
    if cycle.job is Job.FETCH_FLOW:
        return f"{pluralize(len(answers), 'answer')}, {pluralize(sum(answer.received for answer in answers), 'row')}"
    orders = sum(record.terminal is None for record in cycle.candidates)
    refused = (each for each in cycle.refused_strategies if each.decision.gate is Gate.STRATEGY)
    failed = "".join(f"; strategy {each.strategy} is BROKEN ({each.decision.reason})" for each in refused)
    if cycle.job is Job.SCORE:
        return f"{len(cycle.candidates)} scored, {pluralize(orders, 'candidate')}{failed}"
    instead = "".join(f"; strategy {in_a_word(name, why)}" for name, why in stood_in(cycle.candidates).items())
    return f"{len(cycle.candidates)} looked at, {orders} sent{failed}{instead}"


class OpenOrder(Struct, frozen=True):
    """A working order, or one with an unknown outcome; quantity in shares still open, prices in USD."""

    symbol: str
    side: str
    quantity: Decimal
    limit_price: Decimal | None
    stop_price: Decimal | None
    status: str
    client_order_id: str


def open_order(order: Order, *, ending: bool) -> OpenOrder:
    """Return an order as last reported; `ending` if a cancel was sent whose effect only the next pass will learn."""
    prices, status = (order.limit_price, order.stop_price), "cancel sent" if ending else order.status.value
    return OpenOrder(order.symbol, order.side.value, order.open_quantity, *prices, status, order.client_order_id)


def unresolved_order(record: IntentRecord) -> OpenOrder:
    """Return an order with an unknown outcome as it was promised."""
    intent, symbol = record.intent, record.intent.instrument.symbol
    prices = intent.limit_price, None if intent.limit_price else intent.stop_price
    return OpenOrder(symbol, intent.side.value, intent.quantity, *prices, record.state.value, intent.client_order_id)


class Unended(Struct, frozen=True):
    """A slot that was claimed and of which no end is recorded: whoever claimed it is at work, or was cut short."""

    job: str
    slot: str
    at: datetime
    by: str


def unended_of(claim: SlotClaim) -> Unended:
    """Return a slot whose claim has no end yet."""
    return Unended(claim.job, claim.slot, claim.at, claim.by)


class LookedAt(Struct, frozen=True):
    """How many records the status is based on."""

    fills: int
    orders: int
    intents: int
    passes: int


class NextSlot(Struct, frozen=True):
    """The next due time of a job by the timetable and the stored calendar."""

    job: str
    session: date
    slot: str
    at: datetime


class Status(Struct, frozen=True, omit_defaults=True):
    """Everything on the screen; `as_of` is the last recorded trading time, None if nothing was recorded.

    With a real broker, `trading_at` may be this machine's time; all other times are trading time. `next_slots`
    are those after `now`, which is `as_of` in the sandbox. `halted_itself` gives the reasons of the bot's own halts
    that are still in force under a person's halt. `today` is the profit of the day of `as_of`, without what others
    trade in the account; None if nothing was held or paid, or if the records don't tell.
    `drawdown` is how far the equity is below the highest one, as a fraction of that, and `drawdown_halt` from where on
    the bot halts itself. Only an account that doesn't pay for what it buys has `margin`. `realized_elsewhere_usd` is
    what of `realized_usd` the bot's trades didn't make. `without_evidence` are sentences on strategies that may trade
    real money because a person said so. `unended` are the slots that have begun and not ended yet. `notes` say what the
    books don't show as the broker does.
    """

    state_dir: str
    as_of: datetime | None
    exchange_url: str | None
    trading_state: str
    trading_who: str
    trading_why: str
    trading_at: datetime | None
    halted_itself: tuple[str, ...]
    permission: Judgment
    reconcile: ReconcileMark | None
    health: tuple[Judgment, ...]
    passes: tuple[LastPass, ...]
    now: datetime | None
    next_slots: tuple[NextSlot, ...]
    quota: FlowQuota | None
    equity: Equity | None
    drawdown: Decimal | None
    drawdown_halt: Decimal
    positions: tuple[Holding, ...]
    orders: tuple[OpenOrder, ...]
    unresolved: tuple[OpenOrder, ...]
    realized_usd: Decimal
    today: DayProfit | None
    looked_at: LookedAt
    margin: AccountMargin | None = None
    realized_elsewhere_usd: Decimal = Decimal(0)
    without_evidence: tuple[str, ...] = ()
    unended: tuple[Unended, ...] = ()
    notes: tuple[str, ...] = ()
