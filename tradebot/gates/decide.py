"""Ask every gate about an entry: those that are always asked, and those of limits that may be off, if they are set.

A limit on a book is asked of the book as the entry would leave it, by the predicate that monitors the book as it is.
No new entry can clear one of these limits by itself: time, a closed position or a person does.
"""

from collections.abc import Iterator
from decimal import Decimal
from operator import attrgetter

from tradebot.gates import book as limits_of
from tradebot.gates import costs as costs_of
from tradebot.gates import entry
from tradebot.gates import halts as halts_of
from tradebot.gates import margin as margin_of
from tradebot.gates import prices as prices_of
from tradebot.gates.book import own
from tradebot.gates.common import instrument_known, instrument_open, liquid_now
from tradebot.gates.entry import Ask, unpriced
from tradebot.gates.expiry import none_overdue, still_opens
from tradebot.gates.registry import eligible
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book, Entered
from tradebot.model.limits import Limits
from tradebot.model.reasons import Reason
from tradebot.model.values import replace

_PLACE = attrgetter("gate.place")


def decide(ask: Ask) -> tuple[Decision, ...]:
    """Return the decisions of every gate, merged with the candidate's own, in the fixed order of asking."""
    # The sort is stable, so a strategy's decision comes before the gate's own and never replaces it.
    answers = [*ask.candidate.decisions, *entry.decisions(ask), *_optional(ask)]
    answers.sort(key=_PLACE)
    return tuple(answers)


def _optional(ask: Ask) -> Iterator[Decision]:
    """Yield what is wrong with the instrument, if anything, and the decision of each limit that is set."""
    account, symbol, now = ask.account.limits, ask.candidate.symbol, ask.desk.now
    own_book, own_limits = ask.strategy.book, ask.limits
    answers = (
        instrument_known(ask.desk, symbol),
        instrument_open(ask.desk, ask.candidate.instrument),
        liquid_now(ask.desk, symbol, account),
        still_opens(ask.desk, symbol),
        none_overdue(ask.desk),
        eligible(ask.desk.registry, symbol, now) if ask.desk.registry else None,
        *_on_book(ask, ask.book, account),
        *(decision and own(decision) for decision in _on_book(ask, own_book, own_limits)),
        _contracts(ask),
        prices_of.basis(ask.quote, ask.limits),
        prices_of.shock(ask.desk, ask.quote, account, symbol),
        *costs_of.decisions(ask.limits, ask.plan),
        _risk(ask),
        _stop_loss(ask),
        *_on_margin(ask),
        _own_daily_loss(ask),
        limits_of.max_drawdown(ask.book, account),
        limits_of.equity_floor(ask.book, account) or limits_of.equity_floor_halt(ask.book, ask.account.halts),
        halts_of.positions_halt(ask.book, ask.account.halts),
        halts_of.symbol_halt(ask.book, ask.account.halts),
        limits_of.loss_streak(ask.book, account, now),
        (streak := limits_of.loss_streak(own_book, own_limits, now)) and own(streak),
        _loss_cooldown(ask),
        limits_of.wash_sale(ask.book, account, symbol, now),
    )
    yield from (decision for decision in answers if decision)


def _on_book(ask: Ask, book: Book, limits: Limits) -> Iterator[Decision | None]:
    """Yield the decisions about a book with the entry in it."""
    whole = (
        (limits.max_net_fraction, Gate.NET_NOTIONAL, limits_of.net_notional),
        (limits.max_beta_fraction, Gate.BETA_NOTIONAL, limits_of.beta_notional),
        (limits.max_concentration, Gate.CONCENTRATION, limits_of.concentration),
        (limits.max_open_risk_fraction, Gate.OPEN_RISK, limits_of.open_risk),
    )
    # Most bots set none of these, and a book takes a while to copy.
    if all(limit is None for limit in (limits.max_theme_fraction, *(row[0] for row in whole))):
        return
    after = _after(ask, book)
    yield _theme(ask, after, limits)
    for limit, gate, predicate in whole:
        if limit is not None:
            yield predicate(after, limits) if after else unpriced(gate, limit)


def _on_margin(ask: Ask) -> Iterator[Decision]:
    """Yield the decisions about the margin of the account with the entry in it; a paid account has none."""
    if ask.book.margin is None:
        return
    after = _after(ask, ask.book)
    for gate, limit, predicate in margin_of.watched(ask.account.limits, ask.account.halts):
        yield predicate(after, after.margin, limit) if after and after.margin else unpriced(gate, limit)


def _theme(ask: Ask, after: Book | None, limits: Limits) -> Decision | None:
    limit, symbol = limits.max_theme_fraction, ask.candidate.symbol
    if limit is None:
        return None
    if symbol not in ask.book.themes:
        return Decision(Gate.THEME_NOTIONAL, Verdict.UNKNOWN, Reason.THEME_UNKNOWN, None, limit)
    if after is None:
        return unpriced(Gate.THEME_NOTIONAL, limit)
    return limits_of.theme_notional(after, limits, limits_of.theme_of(after, symbol))


def _after(ask: Ask, book: Book) -> Book | None:
    """Return the book with the entry in it, at its worst; None if it has no price."""
    if ask.size is None:
        return None
    candidate = ask.candidate
    entered = Entered(candidate.strategy, candidate.symbol, candidate.side, ask.desk.now)
    size = ask.size
    worst = (size.notional_usd, ask.sector or "", size.quantity, size.limit_price, size.risk_usd)
    return book.with_entry(entered, *worst)


def _risk(ask: Ask) -> Decision | None:
    """Compare what the entry would lose at its stop with its limit, as a share of the strategy's equity."""
    limit = ask.limits.max_risk_fraction
    if limit is None:
        return None
    if ask.size is None:
        return unpriced(Gate.RISK, limit)
    if ask.size.risk_usd is None:
        return Decision(Gate.RISK, Verdict.UNKNOWN, Reason.STOP_UNKNOWN, None, limit)
    return limits_of.share(ask.strategy.book, Gate.RISK, Reason.RISK_ABOVE_MAX, ask.size.risk_usd, limit)


def _contracts(ask: Ask) -> Decision | None:
    """Compare the units in the account with their limit, the entry's included."""
    limits = ask.account.limits
    if limits.max_contracts is not None and ask.size is None:
        return replace(unpriced(Gate.CONTRACTS), limit=limits.max_contracts)
    return limits_of.contracts(ask.book, limits, ask.size.quantity if ask.size else Decimal(0))


def _stop_loss(ask: Ask) -> Decision | None:
    """Compare what the entry would lose at its stop with its limit, in USD."""
    if ask.limits.max_stop_loss_usd is not None and ask.size is None:
        return unpriced(Gate.STOP_LOSS, ask.limits.max_stop_loss_usd)
    return limits_of.stop_loss(ask.limits, ask.size.risk_usd if ask.size else None)


def _own_daily_loss(ask: Ask) -> Decision | None:
    """Compare what the strategy itself lost in this session with its own limit, if that is below the account's."""
    limit = ask.limits.max_daily_loss_fraction
    if limit >= ask.account.limits.max_daily_loss_fraction:
        return None
    result = ask.book.day_results.get(ask.candidate.strategy, Decimal(0))
    if result is None:
        return unpriced(Gate.OWN_DAILY_LOSS, limit)
    # The highest equity is the account's, so it says nothing about what the strategy's day began with.
    lost = replace(ask.strategy.book, day_loss=max(-result, Decimal(0)), peak_equity=None)
    return own(limits_of.daily_loss(lost, ask.limits))


def _loss_cooldown(ask: Ask) -> Decision | None:
    """Refuse a symbol for a while after any strategy's loss in it, and after its own for as long as that wants."""
    symbol, now = ask.candidate.symbol, ask.desk.now
    any_loss = limits_of.loss_cooldown(ask.book, ask.account.limits, symbol, now)
    if any_loss and not any_loss.passed:
        return any_loss
    return limits_of.loss_cooldown(ask.strategy.book, ask.limits, symbol, now)
