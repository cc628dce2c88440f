"""Check the external services: the broker, its data, and the flow source. No order can be sent here."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial

from commands.doctor.machine import CheckResult, attempt, bad, calls_a_session, ok, skip, warn
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.flow_plan import configured_allowance
from tradebot.app.keys import NEWS_KEYS
from tradebot.app.rules import symbols_on
from tradebot.app.wiring import App
from tradebot.errors import TradebotError
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.bar import VenueClock
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage
from tradebot.model.intent import is_our_order_id
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.sentences import pluralize
from tradebot.model.trading import Mode
from tradebot.reconciliation.read_books import require_account
from tradebot.signals.headlines import WINDOW
from tradebot.timetable.sessions import last_session
from tradebot.venues.door import Connection, VenueCheck

NEW_NAMES = "Write the new names into universe: and sectors:"
NOT_FOUND = 404
LOW_QUOTA = 0.1
"""Warn if less than this share of the day's quota is left."""
COMPARED = timedelta(days=14)
"""How far ahead the stored calendar is compared with the broker's."""
NAMES_KEPT = timedelta(days=5 * 365)
"""How long ago a symbol may have been renamed to be found."""


def venue_checks(app: "App", *, with_keys: bool) -> Iterator[Judgment]:
    """Yield the checks of the broker, then of the flow source; a broker that doesn't respond isn't contacted again."""
    first = attempt("broker", lambda: broker(app) if with_keys else skip("there are no keys to query it with"))
    yield first
    own: Mapping[str, Callable[[App], CheckResult]] = {
        name: partial(_own, look=look) for name, look in app.driver.checks.own.items()
    }
    for name, look in {**BROKER_CHECKS, **own}.items():
        if first.state in (HealthState.FAILED, HealthState.SKIPPED):
            yield skip("the broker did not answer").about(name)
        else:
            yield attempt(name, partial(look, app))
    yield attempt("flow", lambda: flow(app))
    if app.rules.news_apart:
        yield attempt("news", lambda: news(app))


def broker(app: "App") -> CheckResult:
    """Fetch the broker's clock, and report how fast it responds and whether the market is open."""
    began = time.monotonic()
    clock = app.reader.clock()
    took_ms = (time.monotonic() - began) * 1000
    if app.mode is Mode.SANDBOX and app.engine.status().finished:
        finding, fix = "the embedded exchange's market has ended", "tradebot init --state-dir NEW"
        return warn(finding, fix, "clock")
    session = "open" if clock.is_open else f"closed until {clock.next_open:%Y-%m-%d %H:%M} UTC"
    answers = f"{app.connection.base_url} answers in {took_ms:.0f} ms"
    finding = f"{answers}: {clock.now:%Y-%m-%d %H:%M:%S} UTC, the session is {session}"
    return ok(finding, "clock")


def account(app: "App") -> CheckResult:
    """Check that the keys belong to the account of these books, and that it may trade."""
    account = app.reader.account()
    require_account(app.ledger_view, account)
    if account.blocked or account.status != "ACTIVE":
        finding = f"…{account.tail} is {account.status}" + (
            f", blocked: {', '.join(account.blocked)}" if account.blocked else ""
        )
        return bad(finding, "Ask the broker: the bot can't trade until this is lifted", "account")
    money = f"cash {account.cash:,.2f}, equity {account.equity:,.2f} USD"
    finding = f"…{account.tail} is the account of these books, {account.status}; {money}"
    return ok(finding, "account")


def other_copies(app: "App") -> CheckResult:
    """Look for open orders that carry the bot's prefix but aren't in these books.

    Another copy of tradebot sent them. A stop that was sent along with an entry needn't have its own record.
    """
    orders, booked = app.reader.view().orders, {order.venue_id for order in app.ledger_view.orders(working=True)}
    names = [order.client_order_id for order in orders if is_our_order_id(order.client_order_id)]
    strange = [name for name in names if app.ledger_view.intent(name) is None]
    if strange:
        finding = f"{pluralize(len(strange), 'open order')} of another copy of tradebot: {', '.join(strange[:2])}"
        fix = "Stop the other copy, cancel its orders at the broker, then run tradebot reconcile"
        return bad(finding, fix, "open orders", len(orders))
    ours = sum(is_our_order_id(order.client_order_id) or order.venue_id in booked for order in orders)
    finding = f"{ours} of {pluralize(len(orders), 'open order')} from this bot, all recorded in these books"
    return ok(finding, "list of open orders")


def quotes(app: "App") -> CheckResult:
    """Fetch the quote of every symbol of the universe."""
    by_symbol = app.reader.quotes(_symbols(app))
    lost = [f"{symbol} ({why})" for symbol, why in app.reader.rejected_quotes.items()]
    return _prices(app, "quotes", {symbol: quote.at for symbol, quote in by_symbol.items()}, lost)


def bars(app: "App") -> CheckResult:
    """Fetch the latest minute bar of every symbol of the universe; a symbol without bars may have been renamed."""
    checks, inputs = app.driver.checks, (app.connection, app.drift)
    symbols = _symbols(app)
    bar_times = checks.bar_times(*inputs, symbols)
    lost = [symbol for symbol in symbols if symbol not in bar_times]
    today = app.day.date_of(app.now())
    heirs = checks.renamed(*inputs, lost, today - NAMES_KEPT, today) if bar_times and lost else {}
    lost = [f"{symbol} (now {heirs[symbol]})" if symbol in heirs else symbol for symbol in lost]
    return _prices(app, "bars", bar_times, lost)


def _symbols(app: "App") -> tuple[str, ...]:
    return symbols_on(app.settings, app.rules, app.rules.universe, app.day.date_of(app.now()))


def _prices(app: "App", what: str, times: Mapping[str, datetime], lost: Sequence[str]) -> CheckResult:
    """Check prices by their number and, while the market is open, by the age of the newest."""
    clock = app.reader.clock()
    evidence = f"feed {app.connection.feed}: {len(times)} of {len(app.settings.universe)} symbols have prices"
    if not times:
        evidence += f"; none for {', '.join(lost[:3])}" if any(" (" in symbol for symbol in lost) else ""
        return (bad if clock.is_open else warn)(evidence, _no_prices(app, clock), what, 0, None)
    age_s, limit_s = (clock.now - max(times.values())).total_seconds(), app.settings.limits.max_quote_age_s
    if clock.is_open and age_s > limit_s:
        fix = "Look at the broker's status page; entries wait for newer prices"
        return bad(f"{evidence}, all older than {limit_s} s", fix, what, len(times), age_s)
    if lost:
        renamed = any(" (now " in symbol for symbol in lost)
        fix = NEW_NAMES if renamed else "Look the symbols up at the broker, or remove them from universe:"
        return warn(f"{evidence}; none for {', '.join(lost[:3])}", fix, what, len(times), age_s)
    return ok(evidence, what, len(times), age_s)


def _no_prices(app: "App", clock: "VenueClock") -> str:
    if app.mode is Mode.SANDBOX and not clock.is_open:
        return "Run tradebot exchange tick open, then tradebot exchange tick 5m"
    return f"Check {app.driver.checks.setting} and universe: in the configuration"


def data_plan(app: "App") -> CheckResult:
    """Determine which prices the account's data plan includes."""
    look = app.driver.checks.data_plan(app.connection, app.drift, _symbols(app)[0])
    return CheckResult(look.state, look.found, look.looked_at, look.count, look.fix)


def _own(app: "App", look: "Callable[[Connection, DriftTally], VenueCheck]") -> CheckResult:
    """Run one of the venue's own checks, which other venues don't have."""
    own = look(app.connection, app.drift)
    return CheckResult(own.state, own.found, own.looked_at, own.count, own.fix)


def clock_skew(app: "App") -> CheckResult:
    """Compare this machine's clock, taken at the middle of the request, with the broker's."""
    if app.mode is Mode.SANDBOX:
        return _engine_clock(app)
    before = datetime.now(UTC)
    venue_now = app.reader.clock().now
    after = datetime.now(UTC)
    skew_s = ((before + (after - before) / 2) - venue_now).total_seconds()
    limit_s = app.settings.limits.max_clock_skew_s
    which = "ahead of" if skew_s > 0 else "behind"
    finding = f"this machine is {abs(skew_s):.1f} s {which} the broker; at most {limit_s} s is allowed"
    if abs(skew_s) > limit_s:
        return bad(finding, "Set this machine's clock: timedatectl set-ntp true", "clocks", 2)
    return ok(finding, "clocks", 2)


def _engine_clock(app: "App") -> CheckResult:
    ahead_s = app.reader.clock().ahead_s(app.engine.now()) or 0.0
    limit_s = app.settings.limits.max_clock_disagreement_s
    finding = f"the exchange's clock and its engine are {abs(ahead_s):,.1f} s apart; at most {limit_s} s is allowed"
    if abs(ahead_s) > limit_s:
        fix = (
            "tradebot exchange faults shows what shifts the clock; until both clocks agree, no entries and no timed "
            "exits run"
        )
        return bad(finding, fix, "clocks", 2)
    return ok(finding, "clocks", 2)


def venue_calendar(app: "App") -> CheckResult:
    """Compare the stored sessions of the next two weeks with the broker's."""
    today = app.day.date_of(app.now())
    theirs = {day.date: day for day in app.reader.calendar(today, today + COMPARED)}
    ours = {day.date: day for day in app.ledger_view.sessions(today, today + COMPARED)}
    if not (theirs and ours):
        evidence = (
            "the broker lists no coming session" if ours else "no calendar is stored yet; the first pass stores it"
        )
        return skip(evidence)
    last = min(max(theirs), max(ours))
    days = sorted(day for day in theirs.keys() | ours.keys() if day <= last)
    differ = [day for day in days if theirs.get(day) != ours.get(day)]
    if differ:
        finding = f"the broker's calendar and the stored one differ on {', '.join(map(str, differ[:3]))}"
        fix = REASONS[Reason.CALENDAR_DISAGREES].remedy
        return bad(finding, fix, "sessions", len(days))
    return ok(f"stored sessions agree with the broker's until {last}", "sessions", len(days))


BROKER_CHECKS: Mapping[str, Callable[["App"], CheckResult]] = {
    "account": account,
    "other copies": other_copies,
    "quotes": quotes,
    "bars": bars,
    "data plan": data_plan,
    "clock": clock_skew,
    "broker calendar": venue_calendar,
}
"""The checks of a broker that responds."""


def flow(app: "App") -> CheckResult:
    """Call each endpoint that a strategy needs once, and find out how much of the plan's daily quota is left."""
    needed = [(kind, symbols) for kind, symbols in app.needed_facts.items() if not app.rules.is_apart(kind)]
    if not needed:
        return skip("no strategy in use reads options flow")
    if app.mode is not Mode.SANDBOX and not app.secrets.uw_key:
        return skip("options flow is NOT CONFIGURED")
    source = app.flow
    now = datetime.now(UTC) if app.mode is not Mode.SANDBOX else app.now()
    session = last_session(app.ledger_view, now, app.day)
    (first, symbol), *others = [(kind, None if kind.market_wide else symbols[0]) for kind, symbols in needed]
    # If the source can't be reached at all, this first request raises, and the others aren't made.
    pages = [source.fetch(first, symbol, session)]
    answers = [_fetch_or_error(source, kind, symbol, session) for kind, symbol in others]
    refused = [answer.message for answer in answers if isinstance(answer, TradebotError)]
    pages += [answer for answer in answers if not isinstance(answer, TradebotError)]
    return _flow_row(app, pages, refused)


def news(app: "App") -> CheckResult:
    """Request the last hour's headlines if a strategy uses news that doesn't come from the flow's source."""
    if not any(map(app.rules.is_apart, app.needed_facts)):
        return skip("no strategy in use reads news")
    if app.settings.news.source in NEWS_KEYS and app.settings.news.source not in app.secrets.news:
        return skip("news is NOT CONFIGURED")
    now = datetime.now(UTC) if app.mode is not Mode.SANDBOX else app.now()
    headlines = pluralize(len(app.headlines.headlines(now - WINDOW, now)), "headline")
    return ok(f"{app.settings.news.source} answers with {headlines}", "source")


def _fetch_or_error(
    source: "UnusualWhales", kind: "AnyKind", symbol: str | None, session: date
) -> "FlowPage | TradebotError":
    try:
        return source.fetch(kind, symbol, session)
    except TradebotError as error:
        return error


def _flow_row(app: "App", pages: "Sequence[FlowPage]", refused: Sequence[str]) -> CheckResult:
    quota, needed, queried = pages[-1].quota, calls_a_session(app), len(pages) + len(refused)
    used, limit = quota.used_today, quota.daily_limit
    # A fetch takes this answer for a symbol that the source doesn't know, and so for no rows.
    unknown = [page for page in pages if page.status == NOT_FOUND]
    count = len(pages) - len(unknown)
    plan = (
        "its replies don't state the daily quota" if limit is None else (f"{used or 0:,} of {limit:,} daily calls used")
    )
    evidence = f"{count} of {queried} endpoints answer; {plan}; a session needs at most {needed:,} calls"
    if not count:
        fix = "This source has no options flow: use another source, or strategies that don't read flow"
        return bad(f"{evidence}; every call was answered with {NOT_FOUND}, not found", fix, "endpoints", 0)
    if refused:
        fix = "Subscribe to a plan that includes it; without it the score's coverage is lower"
        return bad(f"{evidence}; {refused[0]}", fix, "endpoints", count)
    if unknown:
        names = ", ".join(f"{page.endpoint} of {page.symbol or 'the market'}" for page in unknown[:3])
        fix = "Look the symbols up at the source; without them the score's coverage is lower"
        return warn(f"{evidence}; not found: {names}", fix, "endpoints", count)
    if limit is not None and limit - (used or 0) < LOW_QUOTA * limit:
        fix = "Wait until 20:00 New York time, when the plan's daily count restarts"
        return warn(evidence, fix, "endpoints", count)
    if limit is not None and needed > min(limit, configured_allowance(app.settings).planned_a_day):
        fix = "To see what is fetched less often or dropped: tradebot fetch-flow --plan"
        return warn(evidence, fix, "endpoints", count)
    return ok(evidence, "endpoints", count)
