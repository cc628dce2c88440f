"""Select and phrase notices: which events a channel gets, when, and in which words.

A notice contains nothing active: no clickable link, no command, and no name that a chat would turn into a mention.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from tradebot.exits.exit_reasons import UNKNOWN, AmountUnit, ReasonPart, parse
from tradebot.model.candidate import Side
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.intent import IntentRecord
from tradebot.model.notice import GATHERED, BotStatus, Channel, Notice, NoticeEvent, PreviousPosition, QuietHours, Topic
from tradebot.model.position import Key, RoundTrip
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import DOUBTED
from tradebot.model.sentences import noun_for, pluralize, price_text
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.model.venue import Capabilities
from tradebot.model.venue_day import VenueDay

UNKNOWN_FOR = timedelta(minutes=1)
"""How long the outcome of an order may be unknown before a notice."""
UNWELL_FOR = timedelta(minutes=2)
"""How long health may be other than OK before a notice, so that a single late pass isn't reported."""
STATES: Mapping[TradingState, str] = {
    TradingState.ACTIVE: "The bot may trade again",
    TradingState.REDUCE_ONLY: "HALTED: the bot opens nothing, exits continue",
    TradingState.FLATTEN: "HALTED: the bot closes everything",
}
GAPS: Mapping[str, str] = {
    "exiting": "an exit replaced it",
    "refused": "the broker refused it",
    "not_placed": "it was not sent",
    "unknown": "it is unknown whether it arrived",
}
"""Why no stop rests, in words."""


_CODES = {str(reason): REASONS[reason].meaning for reason in Reason if reason.count("_")}
"""The meanings of codes that aren't plain words."""
_CODE = re.compile("|".join(rf"\b({code})\b(?:\. {re.escape(meaning)})?" for code, meaning in _CODES.items()))


class CurrentStatus(Struct, frozen=True):
    """The bot's present state, to be compared with the last `BotStatus`.

    `held` are its positions, and `unresolved` the orders with an unknown outcome. `trips` are the recently closed
    positions, and `closing` says why they were closed. `unwell` describes the components whose health isn't OK, and
    `ticks` are the tick sizes of symbols with a position.
    """

    at: datetime
    trading: TradingStateRecord
    version: str
    held: tuple[PreviousPosition, ...]
    unresolved: Sequence[IntentRecord]
    trips: Sequence[RoundTrip]
    closing: Mapping[Key, str]
    unwell: str
    severity: Severity
    ticks: Mapping[str, Decimal] = {}


class _Told(NamedTuple):
    topic: Topic
    what: str
    sentence: str | Callable[[SystemEvent, Capabilities], str]
    """Either a text, filled with the event's symbol and details and the venue's unit of quantities, or a function that
    builds it.
    """


def _without_codes_in_details(event: SystemEvent) -> Mapping[str, str]:
    return {name: without_codes(detail) for name, detail in event.details.items()}


def _gap(event: SystemEvent, venue: Capabilities) -> str:
    why, count = event.details.get("why", ""), _units(event.details["shares"], venue)
    if why == DOUBTED:
        return f"{event.symbol}: perhaps no stop protects {count}, because the broker's answers about the stop disagree"
    return f"{event.symbol}: no stop protects {count}, because {GAPS.get(why, f'it is {why}')}"


def _units(count: str, venue: Capabilities) -> str:
    return f"{count} {noun_for(1 if count.lstrip('-') == '1' else 2, venue.unit)}"


def _differs(event: SystemEvent, venue: Capabilities) -> str:
    broker_text, books = _units(event.details["broker"], venue), event.details["books"]
    return f"{event.symbol}: the broker has {broker_text}, the books have {books}"


def _armed_text(event: SystemEvent, _: Capabilities) -> str:
    return f"Live trading is armed for {pluralize(int(event.details['sessions']), 'session')}"


def _gap_ended(event: SystemEvent, venue: Capabilities) -> str:
    lasted_s, closed = round(float(event.details["lasted_s"])), event.details["ended"] == "closed"
    lasted, end = pluralize(lasted_s, "second"), f"the {venue.unit}s were closed" if closed else "a stop rests again"
    if event.details.get("why") != DOUBTED:
        return f"{event.symbol}: after {lasted} without a stop, {end}"
    if closed or lasted_s:
        return f"{event.symbol}: after at most {lasted} without a stop, {end if closed else 'a stop rests'}"
    return f"{event.symbol}: the broker's answers agree again: a stop was there all along"


def _refusal_text(event: SystemEvent, _: Capabilities) -> str:
    reason = event.details["reason"]
    why = REASONS[Reason(reason)].meaning if reason in set(Reason) else reason
    return f"The answer of strategy {event.details['strategy']} was refused. {why}"


def _approval(event: SystemEvent, venue: Capabilities) -> str:
    about, until = event.details, venue.day.local(datetime.fromisoformat(event.details["until"]))
    side = "buy" if about["side"] == Side.BUY else "sell short"
    what = f"{side} {about['quantity']} {event.symbol} at {about['price']} USD or better"
    worth = f"{Decimal(about['worth']):,.2f} USD in all"
    # A notice loses what isn't plain text, and that includes a question mark.
    return (
        f"{about['strategy']} waits for approval until {until:%H:%M} to {what}, {worth}: tradebot approve {about['id']}"
    )


OF_EVENTS: Mapping[EventKind, _Told] = {
    EventKind.LIVE_ARMED: _Told(Topic.ARMING, "armings of live trading", _armed_text),
    EventKind.APPROVAL_ASKED: _Told(Topic.APPROVALS, "entries waiting for approval", _approval),
    EventKind.PROTECTION_GAP: _Told(Topic.PROTECTION, "positions without a stop", _gap),
    EventKind.PROTECTION_GAP_ENDED: _Told(Topic.PROTECTION, "positions with a stop again", _gap_ended),
    EventKind.OVERFILLED: _Told(
        Topic.PROTECTION,
        "positions that reversed",
        "{symbol}: closing orders filled {shares} {unit}s more than the position had. The bot closes the excess",
    ),
    EventKind.ALL_CLOSES_FAILED: _Told(
        Topic.PROTECTION,
        "positions that can't be closed",
        "{symbol}: {attempts} orders that close the position have failed. The bot keeps trying",
    ),
    EventKind.POSITION_DIFFERS: _Told(Topic.BOOKS, "differences", _differs),
    EventKind.POSITION_UNPROVEN: _Told(
        Topic.BOOKS, "unconfirmed positions", "{symbol}: the broker doesn't confirm the position, so no exit is sent"
    ),
    EventKind.LIQUIDATED: _Told(
        Topic.POSITIONS,
        "liquidated positions",
        "{symbol}: the broker closed {quantity} at {price} USD on average, because margin ran out",
    ),
    EventKind.SETTLED: _Told(
        Topic.POSITIONS,
        "positions closed by the broker",
        "{symbol}: the broker closed {quantity} at {price} USD on average: the contract ended, or the "
        "position was assigned or unwound",
    ),
    EventKind.ENTRIES_PAUSED: _Told(
        Topic.HEALTH,
        "pauses of all entries",
        "Entries pause: {healthy} of the required {needed} coins have healthy data. See tradebot registry",
    ),
    EventKind.ENTRIES_RESUMED: _Told(
        Topic.HEALTH,
        "ends of pauses of all entries",
        "Entries resume: {healthy} coins have healthy data, {needed} are required",
    ),
    EventKind.LIST_NOT_BELIEVED: _Told(
        Topic.HEALTH,
        "rejected lists of contracts",
        "The traded coins stay as they are, because the venue's list of contracts was rejected: {why}",
    ),
    EventKind.COIN_UNLISTED: _Told(
        Topic.HEALTH, "coins not listed any more", "{symbol}: the venue no longer lists it; {message}"
    ),
    EventKind.LEDGER_DAMAGED: _Told(
        Topic.BOOKS, "damages", "The books are damaged, so the bot halted. Run tradebot recover: {found}"
    ),
    EventKind.BOOKS_REBUILT: _Told(Topic.BOOKS, "rebuilds of the books", "The books were rebuilt: {why}"),
    EventKind.SLOT_MISSED: _Told(Topic.SLOTS, "reports of missed slots", "{job} {message}"),
    EventKind.OWN_SLOT_MISSED: _Told(
        Topic.SLOTS,
        "missed slots of strategies",
        "The strategy {strategy} didn't run in its slot {slot} of {session}",
    ),
    EventKind.OWN_SLOT_UNFINISHED: _Told(
        Topic.SLOTS,
        "unfinished slots of strategies",
        "The slot {slot} of {session} ended before the strategy {strategy} had reached its targets",
    ),
    EventKind.PROPOSAL_REFUSED: _Told(Topic.STRATEGIES, "refused answers of strategies", _refusal_text),
    EventKind.BACKUP_FAILED: _Told(
        Topic.BACKUPS, "failed backups", "The backup of {session} couldn't be made: {found}"
    ),
    EventKind.BACKUP_NOT_COPIED: _Told(
        Topic.BACKUPS, "backups not copied", "The backup {name} couldn't be copied off the machine: {found}"
    ),
    EventKind.BACKUP_DAMAGED: _Told(Topic.BACKUPS, "damaged backups", "The backup {name} is damaged: {found}"),
    EventKind.JOB_FAULT: _Told(Topic.SERVE, "bugs", "{job} hit a bug in tradebot. Run tradebot events, and report it"),
    EventKind.LANE_STALLED: _Told(Topic.SERVE, "stalls of serve", "A part of serve has stalled"),
    EventKind.MEMORY_SHORT: _Told(Topic.SERVE, "shortages of memory", "serve is short of memory: {message}"),
    EventKind.CEILING_REACHED: _Told(Topic.SERVE, "restarts of serve", "serve restarts: {message}"),
    EventKind.CONFIG_NOT_RELOADED: _Told(Topic.SERVE, "refused configurations", "{message}"),
}
"""The events that become notices, in words.

A halt isn't among them: it is noticed from the trading state, whoever set it.
"""


def of_event(event: SystemEvent, venue: Capabilities, extra_kinds: Iterable[str] = ()) -> NoticeEvent | None:
    """Return the notice's content for an event; None if no channel wants it.

    `extra_kinds` are names of further events that a channel wants.
    """
    name = f"{event.subsystem}.{event.event_type}"
    wording = _BY_NAME.get(name)
    if wording is not None:
        text = _in_words(wording, event, venue) or _plain(event)
        return NoticeEvent(event.timestamp, wording.topic, event.severity, wording.what, text)
    if name in extra_kinds:
        return NoticeEvent(event.timestamp, Topic.EVENTS, event.severity, f"events {name}", _plain(event))
    return None


_BY_NAME = {kind.value: wording for kind, wording in OF_EVENTS.items()}


def _in_words(wording: _Told, event: SystemEvent, venue: Capabilities) -> str:
    """Return the sentence for an event; empty if a detail is missing, as in an event from another program."""
    try:
        if isinstance(wording.sentence, str):
            return wording.sentence.format(
                **{"symbol": event.symbol, "unit": venue.unit, **_without_codes_in_details(event)}
            )
        return wording.sentence(event, venue)
    except (LookupError, ValueError):
        return ""


def without_codes(text: str) -> str:
    """Return a text with each reason's code replaced by its meaning, without repeats."""

    def expand(match: re.Match[str]) -> str:
        code = match[match.lastindex or 0]
        return _CODES[code] if match[0] != code else _CODES[code].rstrip(".")

    return _CODE.sub(expand, text)


def _plain(event: SystemEvent) -> str:
    details = "; ".join(
        f"{name.replace('_', ' ')} {text}" for name, text in _without_codes_in_details(event).items() if text
    )
    type_ = event.event_type.replace("_", " ").lower()
    return ": ".join(part for part in (event.symbol, type_, details) if part)


def seen_of(now: CurrentStatus) -> BotStatus:
    """Return the status that the next check compares with: everything in `now` counts as reported."""
    unknown = tuple(each.intent.client_order_id for each in _old(now))
    return BotStatus(now.at, now.trading.state, now.version, now.held, unknown, now.at if now.unwell else None)


def events_since(before: BotStatus, now: CurrentStatus) -> tuple[BotStatus, tuple[NoticeEvent, ...]]:
    """Return the bot's new status, and what has happened since the previous one."""
    happened = [*_halts(before, now), *_version(before, now), *_positions(before, now), *_unknown(before, now)]
    unwell_since = (before.unwell_since or now.at) if now.unwell else None
    is_told = unwell_since is not None and (before.told_unwell or now.at - unwell_since >= UNWELL_FOR)
    if is_told and not before.told_unwell:
        happened.append(NoticeEvent(now.at, Topic.HEALTH, now.severity, "health problems", f"Not OK: {now.unwell}"))
    elif before.told_unwell and not is_told:
        happened.append(NoticeEvent(now.at, Topic.HEALTH, Severity.INFO, "recoveries of health", "Health is OK again"))
    return replace(seen_of(now), unwell_since=unwell_since, told_unwell=is_told), tuple(happened)


def _halts(before: BotStatus, now: CurrentStatus) -> Iterator[NoticeEvent]:
    trading = now.trading
    if trading.state is not before.state:
        severity = Severity.INFO if trading.state is TradingState.ACTIVE else Severity.CRITICAL
        who = f" ({trading.who}: {without_codes(trading.why)})" if trading.why else ""
        yield NoticeEvent(
            now.at, Topic.HALTS, severity, "changes of the trading state", f"{STATES[trading.state]}{who}"
        )


def _version(before: BotStatus, now: CurrentStatus) -> Iterator[NoticeEvent]:
    if now.version != before.version:
        text = f"tradebot {now.version} is now in use; before, it was {before.version}"
        yield NoticeEvent(now.at, Topic.VERSION, Severity.INFO, "upgrades", text)


def _positions(before: BotStatus, now: CurrentStatus) -> Iterator[NoticeEvent]:
    positions, held_keys = {_key(position) for position in before.held}, {_key(position) for position in now.held}
    for held_then in now.held:
        if _key(held_then) not in positions:
            side = "bought" if held_then.quantity > 0 else "sold short"
            price = price_text(held_then.price, now.ticks.get(held_then.symbol))
            text = f"{held_then.symbol}: {side} {abs(held_then.quantity):f} at {price} USD ({held_then.strategy})"
            yield NoticeEvent(held_then.opened_at, Topic.POSITIONS, Severity.INFO, "positions opened", text)
    # A position that was opened and closed between two checks is reported once.
    for trip in now.trips:
        key = (trip.strategy, trip.symbol, trip.opened_at)
        if key not in held_keys and (key in positions or trip.closed_at > before.at):
            why = reason_in_words(now.closing.get(key, UNKNOWN))
            share = f" ({trip.profit / trip.cost:+.1%})" if trip.cost else ""
            profit = f"{trip.profit:+,.2f} USD{share}"
            text = f"{trip.symbol}: closed with {profit}{f': {why}' if why else ''} ({trip.strategy})"
            yield NoticeEvent(trip.closed_at, Topic.POSITIONS, Severity.INFO, "positions closed", text)


def _key(held_then: PreviousPosition) -> Key:
    return held_then.strategy, held_then.symbol, held_then.opened_at


def reason_in_words(why: str) -> str:
    """Describe why a position was closed; empty if nothing was recorded. A strategy's own words are kept unchanged."""
    try:
        return " and ".join(map(_part, parse(why)))
    except ValueError:
        return why


def _part(part: ReasonPart) -> str:
    unit = {AmountUnit.PERCENT: "%", AmountUnit.HOURS: " hours", AmountUnit.NONE: ""}[part.mark]
    name = " ".join(filter(None, (part.name.replace("_", " "), part.symbol)))
    return name if part.amount is None else f"{name} at {part.amount:f}{unit}"


def _old(now: CurrentStatus) -> Iterator[IntentRecord]:
    return (each for each in now.unresolved if now.at - each.intent.at >= UNKNOWN_FOR)


def _unknown(before: BotStatus, now: CurrentStatus) -> Iterator[NoticeEvent]:
    for each in _old(now):
        intent = each.intent
        if intent.client_order_id not in before.unknown:
            text = f"{intent.instrument.symbol}: nobody knows yet whether the broker has the order to {intent.side}"
            yield NoticeEvent(now.at, Topic.ORDERS, Severity.ERROR, "orders with an unknown outcome", text)


GATHER = timedelta(minutes=30)
"""Combined notices are sent every half hour."""
ALIKE = 3
"""The most events of a kind that are listed one by one; more become one line with the newest event's text."""
LONGEST, MOST_LINES = 240, 20
"""The most characters of a line, and lines of a notice."""
_UNSAFE = re.compile(r"[^A-Za-z0-9 .,:;%$+()'-]+")
_LINK = re.compile(r"(?<=[A-Za-z0-9])\.(?=[A-Za-z]{2})")
_LABELS = {Severity.WARN: ": a warning", Severity.ERROR: ": an error", Severity.CRITICAL: ": CRITICAL"}
_BLANKS = re.compile(r"\s+")
_ORDER = list(Severity)


def is_selected(channel: Channel, happening: NoticeEvent) -> bool:
    """Return True if a channel's rules select an event."""
    return happening.topic in channel.topics and _ORDER.index(happening.severity) >= _ORDER.index(channel.least)


def due_at(channel: Channel, happening: NoticeEvent, now: datetime, venue: VenueDay) -> datetime:
    """Return when to send an event to a channel: at once, at the end of the half hour, or after quiet hours.

    CRITICAL events are always sent at once. Topics in GATHERED wait for the end of the half hour, so that one notice
    covers all their events.
    """
    if happening.severity is Severity.CRITICAL:
        return now
    begun = now - timedelta(minutes=now.minute % 30, seconds=now.second, microseconds=now.microsecond)
    at = begun + GATHER if happening.topic in GATHERED else now
    return ends(channel.quiet, at, venue) if channel.quiet else at


def ends(quiet: QuietHours, at: datetime, venue: VenueDay) -> datetime:
    """Return the end of the quiet hours around a time; the time itself if it is outside of them."""
    zone = ZoneInfo(quiet.zone or venue.zone)
    local = at.astimezone(zone)
    since, until, clock = quiet.since, quiet.until, local.timetz().replace(tzinfo=None)
    over_midnight = until <= since
    inside = clock >= since or clock < until if over_midnight else since <= clock < until
    if not inside:
        return at
    day = local.date() + timedelta(days=1 if over_midnight and clock >= since else 0)
    return datetime.combine(day, until, zone).astimezone(at.tzinfo)


def compose_notification(
    who: str, happenings: Sequence[NoticeEvent], venue: VenueDay, held_since: datetime | None = None
) -> Notice:
    """Compose one notice about these events, most severe first; `who` names the bot. Times are the venue's.

    `held_since` is when the first of them was deferred because the hourly limit was reached.
    """
    ranked = sorted(happenings, key=lambda notification: (-_ORDER.index(notification.severity), notification.at))
    kinds = dict.fromkeys((happening.topic, happening.what) for happening in ranked)
    alike = ([happening for happening in ranked if (happening.topic, happening.what) == kind] for kind in kinds)
    lines = [line for group in alike for line in _lines(group, venue)]
    omitted = len(lines) - MOST_LINES
    lines = [
        *lines[:MOST_LINES],
        *([f"and {pluralize(omitted, 'more line')}: tradebot notify last"] if omitted > 0 else []),
    ]
    if held_since is not None:
        lines.append(f"Held back since {_clock(held_since, venue)}, because the hourly limit on notices was reached")
    worst = ranked[0].severity
    return Notice(f"{who}{_LABELS.get(worst, '')}", "\n".join(lines), worst)


def _lines(alike: Sequence[NoticeEvent], venue: VenueDay) -> Iterable[str]:
    if len(alike) <= ALIKE:
        return [line for happening in alike for line in _event_lines(happening, venue)]
    first, last = min(notification.at for notification in alike), max(notification.at for notification in alike)
    newest = max(alike, key=lambda notification: notification.at)
    span = f"first {_clock(first, venue)}, last {_clock(last, venue)}"
    return [f"{len(alike)} {alike[0].what}, {span}: {safe(newest.text)}"]


def _event_lines(happening: NoticeEvent, venue: VenueDay) -> Iterable[str]:
    first, *more = happening.text.split("\n")
    return [f"{_clock(happening.at, venue)} {safe(first)}", *map(safe, more)]


def _clock(at: datetime, venue: VenueDay) -> str:
    return f"{venue.local(at):%H:%M}"


def safe(text: str) -> str:
    """Return one line that can't be read as a link, a command, a mention or markup."""
    line = _BLANKS.sub(" ", _LINK.sub(". ", _UNSAFE.sub(" ", text))).strip()
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 3]}..."
