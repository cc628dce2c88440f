"""The first page: the day's figures as cards, its curve, the positions, what needs attention, and the funnel."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from functools import cache
from urllib.parse import quote

from markupsafe import Markup
from rich.console import Console
from rich.markup import escape

from commands import approvals, audit
from commands.approvals import ApprovalsData
from commands.audit.audit_inputs import show_findings
from commands.positions import report as positions
from commands.positions.report import Positions
from commands.shared.light_helpers import clean
from commands.shared.number_format import STATE_STYLE, duration, format_distance, in_units, time_left, usd
from commands.shared.times import DAY_MINUTE, stamp, zone
from commands.shared.verb_options import Report, identity
from commands.status.report import (
    count_working_orders,
    sections,
    show_closed_permission,
    show_trading_state,
    status_of,
)
from commands.web.charting import day_part, weeks_part
from commands.web.html_rendering import (
    CSRF,
    CardFigure,
    Page,
    PagePart,
    Query,
    draw_figures,
    draw_prices,
    draw_shares,
    link_symbol,
)
from commands.why_no_orders.past_passes import run_session
from tradebot.app.wiring import App
from tradebot.judging.judgment import count_parts, worst_state
from tradebot.model.limits import Limits
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState
from tradebot.views.explain import Funnel
from tradebot.views.holdings import FOREIGN_OWNER, Holding, StopRow, nearest_levels
from tradebot.views.status import Status, day_return, exposure
from tradebot.views.why_no_orders import WhyNoOrders

BARE = 10
"""How many positions without a stop the first page names."""
MOST_ROWS = 30
"""How many positions the first page shows."""
MOST_PASSES = 400
"""How many passes of the last session a sparkline covers."""
CAUSE_STYLE = {"idle by design": "blue", "blocked": "yellow", "broken": "red", "unknown": "magenta"}


def _overview(_: Query) -> list[PagePart]:
    # The parts of one page share a status, which takes long to read in large books.
    status, load_positions = cache(status_of), cache(positions.run)
    return [
        PagePart("Today", lambda app: _status_report(app, status(app)), wide=True, draw=_draw_cards),
        PagePart("Entries that wait for approval", approvals.run, act=_answer_forms, draw=_draw_nothing),
        day_part(),
        weeks_part(),
        PagePart("Positions", load_positions, wide=True, draw=_draw_positions),
        PagePart(
            "What needs a person", lambda app: _needs_report(app, status(app), load_positions(app).data.positions)
        ),
        PagePart("Candidates today", lambda app: run_session(app, None, None, None, None), draw=_draw_funnel),
    ]


def _status_report(app: App, data: Status) -> Report:
    return Report("status", data, lambda console, _: None, bot_identity=identity(app))


def _draw_nothing(_: App, __: Report) -> Markup:
    return Markup("")


def _draw_cards(app: App, report: Report) -> Markup:
    return draw_figures(_figures(app, report.data))


def _figures(app: App, data: Status) -> Iterator[CardFigure]:
    """Yield the day's figures, from the functions that `status` and `tradebot` alone use."""
    yield from _money_figures(data)
    yield _exposure_figure(data, app.rules.limits)
    yield _positions_figure(data, app.rules.limits)
    unknown = f"{len(data.unresolved)} with an unknown outcome" if data.unresolved else ""
    yield CardFigure("Working orders", f"{len(data.orders):,}", unknown or count_working_orders(data.orders))
    yield _next_figure(data)
    state = worst_state(data.health)
    health = Markup('<a href="/health">{}</a>').format(state)
    yield CardFigure("Health", health, count_parts(data.health), STATE_STYLE[state])


def _money_figures(data: Status) -> Iterator[CardFigure]:
    if day := data.today:
        fraction = day_return(data)
        notes = [f"{fraction:+.2%}"] if fraction is not None else []
        notes += [f"without {pluralize(len(day.unpriced), 'unpriced symbol')}"] if day.unpriced else []
        color = "green" if day.total_usd > 0 else "red" if day.total_usd < 0 else ""
        yield CardFigure("Profit today", f"{day.total_usd:z+,.2f} USD", ", ".join([*notes, f"{day.day}"]), color)
    if data.equity:
        below = "" if data.drawdown is None else f"{data.drawdown:.2%} below its peak, halt at {data.drawdown_halt:.0%}"
        yield CardFigure("Equity", f"{data.equity.last_usd:,.2f} USD", below)


def _exposure_figure(data: Status, limits: Limits) -> CardFigure:
    gross = exposure(data)
    unpriced = f", {gross.unpriced} without a price" if gross.unpriced else ""
    share = "unknown" if gross.fraction is None else f"{gross.fraction:.0%}"
    return CardFigure("Exposure", share, f"{gross.gross_usd:,.0f} USD, limit {limits.max_gross_fraction:.0%}{unpriced}")


def _positions_figure(data: Status, limits: Limits) -> CardFigure:
    positions = [row for row in data.positions if row.is_held]
    bare = [row for row in positions if row.protection and row.protection.lacks_stop]
    note = f"{len(bare)} without a stop at the broker" if bare else "all have their stops" if positions else ""
    if data.notes:
        note = "the broker's positions differ"
    count = Markup('<a href="/positions">{} of {}</a>').format(len(positions), limits.max_open_positions)
    return CardFigure("Open positions", count, note, "red" if bare or data.notes else "")


def _next_figure(data: Status) -> CardFigure:
    due = min(data.next_slots, key=lambda slot: slot.at, default=None)
    if due is None:
        return CardFigure("Next job", Markup('<a href="/schedule">none known</a>'))
    remaining = f", {time_left((due.at - data.now).total_seconds())}" if data.now else ""
    job = Markup('<a href="/schedule">{}</a>').format(due.job)
    return CardFigure("Next job", job, f"{stamp(due.at, DAY_MINUTE)} {zone()}{remaining}")


def _draw_positions(app: App, report: Report) -> Markup:
    """Return positions as rows: those without a stop first, then those nearest to an exit."""
    data: Positions = report.data
    rows = sorted(data.positions, key=_urgency)[:MOST_ROWS]
    more = len(data.positions) - len(rows)
    rest = Markup('<p><a href="/positions">{:,} more</a></p>').format(more) if more else Markup("")
    notes = Markup("").join(map(Markup("<p>{}</p>").format, map(clean, data.notes)))
    if not rows:
        return notes or Markup("<p>No position is open.</p>")
    seen_at = max((row.price_at for row in rows if row.price_at), default=None)
    facts, symbols = app.existing_facts, {row.symbol for row in rows}
    prices = facts.marked_prices(app.day.date_of(seen_at), symbols, MOST_PASSES) if facts and seen_at else {}
    drawn = [
        _draw_position(
            row,
            [price for at, price in prices.get(row.symbol, ()) if _is_since(row, at)],
            may_close=app.settings.web.may_close,
        )
        for row in rows
    ]
    return Markup('<ul class="rows">{}</ul>{}{}').format(Markup("\n").join(drawn), rest, notes)


def _is_since(row: Holding, at: datetime) -> bool:
    return row.opened_at is None or at >= row.opened_at


def _urgency(row: Holding) -> tuple[bool, bool, Decimal, str]:
    """Return the sort key of positions: those without a stop first, then by distance to the nearest exit."""
    is_bare = row.protection is not None and row.protection.lacks_stop
    distances = [stop.distance for stop in row.stops if stop.armed and stop.distance is not None]
    return row.strategy == FOREIGN_OWNER, not is_bare, min(distances, default=Decimal(1)), row.symbol


def _draw_position(row: Holding, prices: Sequence[Decimal], *, may_close: bool) -> Markup:
    """Return a position: its size, its gain, its price between stop and target, and their distances."""
    stop, target = nearest_levels(row)
    levels = {name: level.price for name, level in (("stop", stop), ("target", target)) if level and level.price}
    entry = {} if row.average_price is None else {"entry": row.average_price}
    size = Markup(" · ").join([_describe_held(row), *(_closing_link(row) if may_close else ())])
    known_prices = [*prices, row.price] if row.price is not None and not prices else prices
    return Markup(
        '<li><span class="symbol">{}</span> <span class="held">{}</span> {}'
        '<span class="track">{}</span> <span class="levels">{}</span></li>'
    ).format(
        link_symbol(row.symbol), size, _draw_gain(row), draw_prices(known_prices, {**entry, **levels}),
        Markup(" ").join(_level_texts(row, stop, target)),
    )  # fmt: skip


def _describe_held(row: Holding) -> str:
    if row.closed_by_others and not row.is_held:
        return "closed by someone else"
    side, age = "long" if row.quantity > 0 else "short", "" if row.age_s is None else f", {duration(row.age_s)}"
    return f"{side} {abs(row.quantity):,f}, {clean(row.strategy)}{age}"


def _closing_link(row: Holding) -> Iterator[Markup]:
    """Yield a link to the form that closes a position, if it is the bot's own."""
    if row.strategy != FOREIGN_OWNER and row.is_held:
        yield Markup('<a href="/close?symbol={}">Close</a>').format(quote(row.symbol, safe=""))


def _draw_gain(row: Holding) -> Markup:
    if row.unrealized_usd is None or row.gain is None:
        return Markup('<span class="gain">no price yet</span> ')
    color = "red" if row.unrealized_usd < 0 else "green"
    text = f"{row.unrealized_usd:z+,.2f} USD"
    return Markup('<span class="gain {}">{} <small>{}</small></span> ').format(color, text, f"{row.gain:z+.2%}")


def _level_texts(row: Holding, stop: StopRow | None, target: StopRow | None) -> Iterator[Markup]:
    """Yield the last price, and the nearest stop and target with their distances."""
    if row.price is not None:
        yield Markup("<span>now {}</span>").format(usd(row.price, row.symbol))
    if row.protection is not None and row.protection.lacks_stop:
        yield Markup('<strong class="red">no stop at the broker</strong>')
    for name, level, color in (("stop", stop, "red"), ("target", target, "green")):
        if level is not None and level.distance is not None:
            text = f"{name} {usd(level.price, row.symbol)}, {format_distance(level.distance)}"
            yield Markup('<span class="{}">{}</span>').format(color, text)


def _draw_funnel(_: App, report: Report) -> Markup:
    """Return a bar with the candidates' outcomes, and each part with its count."""
    data: WhyNoOrders = report.data
    funnel = data.explanation.funnel
    if not funnel.candidates:
        return Markup("<p>{}</p>").format(clean(data.explanation.sentence))
    link = Markup('<p class="links"><a href="/funnel">{:,} candidates in {}</a></p>')
    passes = pluralize(funnel.passes - funnel.refused_passes, "pass", "passes")
    return draw_shares([*_shares(funnel)]) + link.format(funnel.candidates, passes)


def _shares(funnel: Funnel) -> Iterator[tuple[str, int, str, str]]:
    yield "sent", funnel.orders, "green", "They passed every gate."
    refused = funnel.refused_candidates
    for row in funnel.reasons:
        yield row.reason, refused[row.reason], CAUSE_STYLE[row.cause.value], in_units(row.meaning)


def _needs_report(app: App, status: Status, holdings: Sequence[Holding]) -> Report:
    """Return what needs to be fixed, most urgent first, as `audit` reports it from the bot's own records.

    Before that come who halted the bot and why, what else keeps it from opening positions, positions without a stop at
    the broker, and orders with an unknown outcome.
    """
    audited = audit.run(app, offline=True)
    bare = [(row.symbol, row.protection) for row in holdings if row.protection and row.protection.lacks_stop]
    headings = positions.columns(holdings)

    def show(console: Console, _: object) -> None:
        if status.trading_state != TradingState.ACTIVE:
            show_trading_state(console, status)
        if status.permission.next:
            show_closed_permission(console, status)
        for symbol, gap in bare[:BARE]:
            where = positions.protection(gap, headings, symbol)
            console.print(f"[red]No stop at the broker[/] for {escape(clean(symbol))}: {escape(where)}")
        if len(bare) > BARE:
            console.print(f"[red]No stop at the broker[/] for {len(bare) - BARE:,} more. Next: tradebot positions")
        if status.unresolved:
            sections(status, audited.bot_identity)["unresolved"](console)
        show_findings(console, audited.data)

    return replace(audited, render=show)


def _answer_forms(report: Report) -> Iterator[Markup]:
    """Yield a form for each entry that waits for approval, with the order next to the button."""
    data: ApprovalsData = report.data
    for row in data.approvals:
        if row.state == "waiting":
            yield Markup(
                '<form class="act" method="post" action="/act"><input type="hidden" name="csrf" value="{}">'
                '<input type="hidden" name="request" value="{}"><span>{}: {}; {}</span>'
                '<button name="do" value="approve">Approve</button>'
                '<button name="do" value="reject">Reject</button></form>'
            ).format(CSRF, row.id, row.id, approvals.describe_request(row), approvals.how_it_stands(row, data.as_of))


PAGES = (Page("overview", "/", "Overview", _overview),)
