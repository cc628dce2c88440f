"""`tradebot approvals`, `approve` and `reject`: list entries that wait for approval, and approve or reject them."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import Struct

from commands.shared.bot_records import approval_requests
from commands.shared.declaration import VerbPurpose, changes_trading
from commands.shared.light_helpers import clean
from commands.shared.number_format import duration, usd
from commands.shared.times import when
from commands.shared.verb_options import Report, caller, on_bot
from tradebot.adapters.state.approvals import SHOW
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.candidate import Submission
from tradebot.model.event import EventKind
from tradebot.model.reasons import REASONS
from tradebot.model.sentences import pluralize
from tradebot.model.trading import ApprovalAnswer, Request

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from commands.trade_once.run import EntriesData
    from tradebot.app.wiring import App

INTENTS_READ = timedelta(days=14)
"""How far back to search for orders that were sent after an approval."""
Id = Annotated[str, typer.Argument(metavar="ID", help="The request's id; tradebot approvals lists them.")]


class ApprovalRow(Struct, frozen=True):
    """One request: the quantity in shares (unsigned), the price when approval was requested, and the value in USD.

    `state` is waiting, approved, sent, rejected or expired. `order` is the client order id of the order that an
    approval created, if any.
    """

    id: str
    state: str
    strategy: str
    symbol: str
    side: str
    quantity: Decimal
    price: Decimal
    worth_usd: Decimal
    score: float | None
    asked_at: datetime
    expires_at: datetime
    who: str
    answered_at: datetime | None
    order: str | None


class ApprovalsData(Struct, frozen=True):
    """The requests, oldest first, as of `as_of`; `asks` names the strategies whose entries need approval."""

    as_of: datetime
    approvals: tuple[ApprovalRow, ...]
    asks: tuple[str, ...]


class AnsweredData(Struct, frozen=True):
    """The request that was answered, and the pass that an approval started; None after a rejection."""

    approval: ApprovalRow
    trading: "EntriesData | None"


def rows(app: "App", requests: "Iterable[Request]", now: datetime) -> tuple[ApprovalRow, ...]:
    """Return a row for each request."""
    intents = app.books.recent_intents((now - INTENTS_READ).date())
    orders = {intent.intent.approval: intent.intent.client_order_id for intent in intents if intent.intent.approval}
    return tuple(_row(request, orders.get(request.id), now) for request in requests)


def _row(request: "Request", order: str | None, now: datetime) -> ApprovalRow:
    state = "waiting" if request.waits(now) else "expired"
    if request.answer is not None:
        state = "rejected" if request.answer is ApprovalAnswer.NO else "sent" if order else "approved"
    return ApprovalRow(
        request.id,
        state,
        request.strategy,
        request.symbol,
        request.side.value,
        request.quantity,
        request.price,
        request.notional_usd,
        request.score,
        request.asked_at,
        request.expires_at,
        request.who,
        request.answered_at,
        order,
    )


@on_bot(
    "approvals",
    VerbPurpose.OPERATE,
    30,
    {"approvals/1": (ApprovalsData,)},
    epilog="tradebot approvals\ntradebot approvals --last 20",
)
def approvals(
    bot: "App",
    last: Annotated[
        int, typer.Option("--last", "-n", min=0, max=1_000, help="Also show the last N that have ended.")
    ] = 0,
) -> Report:
    """Show which entries wait for approval.

    With --last, also the outcome of earlier ones.
    """
    return run(bot, last)


def run(bot: "App", last: int = 0) -> Report:
    """Report which entries wait for approval, and the outcomes of the `last` requests that have ended."""
    now, sections = bot.stamp_time(), bot.settings.strategies.sections()
    asks = tuple(name for name in sections if bot.settings.approval_of(name).wait_s)
    requested = approval_requests(bot)
    requests = rows(bot, requested, now) if requested else ()
    ended = [row.id for row in requests if row.state != "waiting"]
    shown = set(ended[len(ended) - last :]) if last else set[str]()
    chosen = tuple(row for row in requests if row.state == "waiting" or row.id in shown)
    return Report("approvals", ApprovalsData(now, chosen, asks), _render)


def _render(console: "Console", data: ApprovalsData) -> None:
    waiting = [row for row in data.approvals if row.state == "waiting"]
    if not data.asks and not data.approvals:
        console.print(
            "No entry waits for approval. To turn approvals on, set approval: {wait_s: 300} in the configuration."
        )
        return
    verb = "waits" if len(waiting) == 1 else "wait"
    console.print(f"{pluralize(len(waiting), 'entry', 'entries')} {verb} for approval at {when(data.as_of)}")
    for row in data.approvals:
        console.print(f"[bold]{row.id}[/bold]  {describe_request(row)}")
        console.print(f"  {how_it_stands(row, data.as_of)}", markup=False)
    if waiting:
        console.print(f"Next: tradebot approve {waiting[0].id}, or tradebot reject {waiting[0].id}")


def describe_request(row: ApprovalRow) -> str:
    """Return a request's side, quantity, symbol, price and value."""
    score = "" if row.score is None else f", score {row.score:+.2f}"
    side = "sell short" if row.side == "sell" else row.side
    what = f"{side} {row.quantity:,f} {clean(row.symbol)} at {usd(row.price, row.symbol)} or better"
    return f"{what}, {row.worth_usd:,.2f} USD ({row.strategy}{score})"


def how_it_stands(row: ApprovalRow, now: datetime) -> str:
    """Return when a request expires, or its outcome."""
    if row.state == "waiting":
        return f"requested at {when(row.asked_at)}; it expires in {duration((row.expires_at - now).total_seconds())}"
    if row.state == "expired":
        return f"nobody answered by {when(row.expires_at)}"
    assert row.answered_at is not None, "every answer has a time"
    answer = f"{clean(row.who)} said {'no' if row.state == 'rejected' else 'yes'} at {when(row.answered_at)}"
    return f"{answer}; sent as {row.order}" if row.order else answer


@on_bot("approve", VerbPurpose.OPERATE, 40, {"approve/1": (AnsweredData,)}, epilog="tradebot approve nvda-k3f7q")
@changes_trading
def approve(bot: "App", request: Id) -> Report:
    """Approve a pending entry.

    Every gate is checked again with fresh prices, and the entry is sent if all of them pass.
    """
    from commands.trade_once.run import run as enter

    answered = _answer(bot, request, ApprovalAnswer.YES)
    submission = Submission(1, (answered.given,), 0, (), answered.id) if answered.given else None
    try:
        report = enter(bot, by=caller(), force_slot=True, only=answered.strategy, given_submission=submission)
    except TradebotError as error:
        error.args = (f"Your approval of {answered.id} is recorded, but nothing was sent: {error}",)
        raise
    (row,) = rows(bot, [answered], bot.stamp_time())
    data = AnsweredData(row, report.data)
    return Report("approve", data, _render_answered, report.exit_code)


@on_bot("reject", VerbPurpose.OPERATE, 50, {"reject/1": (AnsweredData,)}, epilog="tradebot reject nvda-k3f7q")
def reject(bot: "App", request: Id) -> Report:
    """Reject a pending entry.

    No approval is requested for it again in this session.
    """
    (row,) = rows(bot, [_answer(bot, request, ApprovalAnswer.NO)], bot.stamp_time())
    return Report("reject", AnsweredData(row, None), _render_answered)


def _answer(bot: "App", request: str, answer: "ApprovalAnswer") -> "Request":
    """Record the answer, dated by the broker's time, and emit an event for it once."""
    if not approval_requests(bot):
        raise OperatorError(f"There is no request {clean(request)[:40]}.", SHOW)
    now = bot.now() if answer is ApprovalAnswer.YES else bot.stamp_time()
    written, news = bot.approvals.answer(clean(request)[:40], answer, caller(), now)
    if news:
        details = {"id": written.id, "answer": answer.value, "who": written.who, "strategy": written.strategy}
        bot.events.emit(EventKind.APPROVAL_ANSWERED.at(now, details, written.symbol))
    return written


def _render_answered(console: "Console", data: AnsweredData) -> None:
    row = data.approval
    console.print(f"{'No' if row.state == 'rejected' else 'Yes'} to {row.id}: {describe_request(row)}")
    if row.state == "rejected":
        console.print("Approval isn't requested again in this session.")
    elif row.order:
        console.print(f"Sent as {row.order}.", markup=False)
    elif data.trading is not None:
        _why_not(console, row, data.trading)


def _why_not(console: "Console", row: ApprovalRow, trading: "EntriesData") -> None:
    from commands.shared.skipped_passes import render_not_run

    if trading.not_run:
        render_not_run(console, trading.not_run)
        return
    same_position = [entry for entry in trading.rows if (entry.strategy, entry.symbol) == (row.strategy, row.symbol)]
    why = next((row.reason for row in same_position if row.reason), None)
    if why is None:
        console.print(f"Not sent: {row.strategy} no longer wants this entry.", markup=False)
        return
    console.print(f"Not sent. {why}: {REASONS[why].meaning}", markup=False)
    console.print(
        f"The approval stays valid until it expires. Next: tradebot why-no-orders {clean(row.symbol)}", markup=False
    )
