"""Collect new events, build the notices for each channel, and send them.

It only reads the bot's records, in a separate process, so that nothing here delays or fails a pass.
"""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.shared.bot_records import age_reference_time, exit_reasons
from commands.shared.evidence import evidence_of
from commands.shared.light_helpers import clean
from commands.shared.times import when
from commands.shared.verb_options import Report
from commands.summary.summary_inputs import read
from tradebot import __version__
from tradebot.adapters.notices.outbox import LONGEST_WAIT, Outbox, Sending, StoredNotice
from tradebot.adapters.notices.sender import Attempt
from tradebot.adapters.state import events
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.keys import address_variable, confirmation_code
from tradebot.app.venue_connection import addresses_of
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, OperatorError, word
from tradebot.exits.exit_reasons import UNKNOWN
from tradebot.judging.judgment import HealthState, Judgment, rank_judgments, worst_state
from tradebot.judging.pass_health import judge_passes
from tradebot.model.event import EventKind, Severity, SystemEvent
from tradebot.model.notice import BotStatus, Notice, NoticeEvent, PreviousPosition, Topic
from tradebot.model.position import Key, RoundTrip
from tradebot.model.retry_waits import wait_after
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.views.notification_events import (
    CurrentStatus,
    compose_notification,
    due_at,
    events_since,
    is_selected,
    of_event,
    seen_of,
)
from tradebot.views.trades.lots import trades

if TYPE_CHECKING:
    from rich.console import Console

BEGINNING = events.EventCursor(0, 0)
LOOK_S = 5.0
"""Real seconds between two checks of the bot while no event is written."""
HEALTH_S = 30.0
"""Real seconds between two checks of the bot's health, each of which reads all of its records."""
FIRST_RETRY = timedelta(seconds=15)
GIVEN_UP = timedelta(days=1)
HOUR = timedelta(hours=1)
TOLD_OTHERWISE = frozenset({"notices", "halts"})
"""Parts of health without a notice: halts have other notices, and a notice can't report that notices aren't sent."""


class DeliveryRound:
    """Builds and sends a bot's notices. `addresses` maps channels to their addresses.

    A channel without an address receives nothing.
    """

    def __init__(self, app: "App", addresses: Mapping[str, str]) -> None:
        self._app = app
        # From now on, no text of this process shows a key.
        _ = app.secrets
        self._channels = [channel for channel in app.settings.notify.in_use() if channel.name in addresses]
        self._addresses = addresses
        self._outbox = Outbox(app.folder.path, app.events, datetime.now(UTC))
        self._attempts = dict[str, tuple[StoredNotice, Attempt]]()
        self._health: tuple[float, str, Severity] | None = None
        self._looked = -LOOK_S
        self._why = dict[Key, str]()

    def close(self) -> None:
        """Abort the attempts in progress; they are repeated later."""
        for _, attempt in self._attempts.values():
            attempt.close()
        self._outbox.close()

    def look(self) -> None:
        """Record the events since the last call, for each channel whose rules select them.

        On the first call, only entries that still wait for approval count as new.
        """
        path, remembered = self._app.folder.path / EVENTS, self._outbox.last_look()
        if remembered is None:
            written, after = events.news(path, BEGINNING)
            now = self._now()
            waiting = (of_event(event, self._app.settings.capabilities) for event in _waiting(written, now.at))
            self._note(after, seen_of(now), [*filter(None, waiting)], now.at)
            return
        event_cursor, bot_status = remembered
        written, after = events.news(path, event_cursor)
        if not written and time.monotonic() < self._looked + LOOK_S:
            return
        self._looked = time.monotonic()
        now = self._now()
        bot_status, happened = events_since(bot_status, now)
        wanted = frozenset(name for channel in self._channels for name in channel.events)
        notices = filter(None, (of_event(event, self._app.settings.capabilities, wanted) for event in written))
        self._note(after, bot_status, (*notices, *happened, *self._summaries(written)), now.at)

    def _note(
        self, cursor: events.EventCursor, status: BotStatus, happened: Sequence[NoticeEvent], now: datetime
    ) -> None:
        discreet = [replace(happening, text=self._discreet(happening.text)) for happening in happened]
        chosen = (
            (channel, notice) for channel in self._channels for notice in discreet if is_selected(channel, notice)
        )
        due = [(channel.name, due_at(channel, notice, now, self._app.day), notice) for channel, notice in chosen]
        self._outbox.note(cursor, status, due)

    def _summaries(self, written: Sequence[SystemEvent]) -> Iterator[NoticeEvent]:
        """Yield the session's summary as a notice if its chore has run; only one, even if it ran several times."""
        ran = [event for event in written if _is_summary(event)][-1:]
        if ran and any(Topic.SUMMARY in channel.topics for channel in self._channels):
            yield NoticeEvent(ran[0].timestamp, Topic.SUMMARY, Severity.INFO, "summaries", read(self._app, None).short)

    def _discreet(self, text: str) -> str:
        """Return a text without keys, and with no more of the account's number than its end."""
        return hide_keys(text).replace(self._app.folder.account_number, f"...{self._app.account_tail}")

    def compose(self) -> None:
        """Build one notice per channel from its due events, unless it has reached its hourly limit."""
        now = self.time()
        for channel in self._channels:
            due = self._outbox.due(channel.name, now)
            critical = any(happening.severity is Severity.CRITICAL for _, _, happening in due)
            if due and (critical or self._outbox.count_created(channel.name, now - HOUR, now) < channel.most_an_hour):
                earliest = min(at for _, at, _ in due)
                is_deferred = self._outbox.count_created(channel.name, earliest - HOUR, now) >= channel.most_an_hour
                happened = [happening for _, _, happening in due]
                notice = compose_notification(self._who(), happened, self._app.day, earliest if is_deferred else None)
                self._outbox.make(channel.name, notice, [id_ for id_, _, _ in due], now)

    def send(self) -> bool:
        """Start each channel's next attempt, or collect a finished one; return True while any is under way."""
        now = self.time()
        for channel in self._channels:
            notice, attempt = self._attempts.get(channel.name, (None, None))
            if notice is None and (notice := self._outbox.next_of(channel.name, now)):
                self._attempts[channel.name] = notice, Attempt(self._addresses[channel.name], notice.notice)
            elif notice is not None and attempt is not None and attempt.has_ended():
                del self._attempts[channel.name]
                self._note_outcome(notice, attempt.problem(), now)
        return bool(self._attempts)

    def _note_outcome(self, stored_notice: StoredNotice, problem: str, now: datetime) -> None:
        if not problem:
            self._outbox.mark_sent(stored_notice.id)
            return
        again: timedelta | None = wait_after(stored_notice.attempts + 1, FIRST_RETRY, LONGEST_WAIT)
        if now - stored_notice.made_at >= GIVEN_UP:
            again = None
            details = {"channel": stored_notice.channel, "message": problem}
            self._app.events.emit(EventKind.NOTICE_FAILED.at(now, details))
        self._outbox.mark_failed(stored_notice.id, problem, again, now)

    def time(self) -> datetime:
        """Return the current time for notices."""
        return evidence_time(self._app)

    def _who(self) -> str:
        return f"tradebot {self._app.mode_name} ...{self._app.account_tail}"

    def _now(self) -> CurrentStatus:
        books, at = self._app.ledger_view, self.time()
        totals = books.totals()
        positions = tuple(
            PreviousPosition(
                position.strategy, position.symbol, position.opened_at, position.quantity, position.average_price
            )
            for position in totals.own_positions()
        )
        unwell, severity = self._unwell()
        state = books.trading_state()
        unresolved = books.intents(unresolved=True)
        closing = self._closing(totals.round_trips)
        prices = {position.symbol: position.price for position in positions}
        ticks = {name: record.listing.tick_at(prices[name]) for name, record in books.listings(prices).items()}
        return CurrentStatus(
            at, state, __version__, positions, unresolved, totals.round_trips, closing, unwell, severity, ticks
        )

    def _closing(self, trips: Sequence[RoundTrip]) -> Mapping[Key, str]:
        """Return why each of these positions was closed, by the order that closed its last shares."""
        new = {key: trip for trip in trips if (key := (trip.strategy, trip.symbol, trip.opened_at)) not in self._why}
        if new:
            closed = trades(self._app.ledger_view.fills_since(min(trip.opened_at for trip in new.values())))
            last = {(trade.strategy, trade.symbol, trade.opened_at): trade.exit_orders[-1:] for trade in closed}
            whys = exit_reasons(self._app, {order for key in new for order in last.get(key, ())})
            for key in new:
                self._why[key] = next((why for order in last.get(key, ()) if (why := whys.get(order))), UNKNOWN)
        return self._why

    def _unwell(self) -> tuple[str, Severity]:
        """Return the parts of the bot that aren't OK in words, empty if all are, and how severe that is."""
        if self._health is None or time.monotonic() >= self._health[0] + HEALTH_S:
            judgments = [
                judged for judged in judge_passes(evidence_of(self._app)) if judged.subject not in TOLD_OTHERWISE
            ]
            findings = rank_judgments(judgments)
            worst = Severity.ERROR if worst_state(judgments) is HealthState.FAILED else Severity.WARN
            self._health = time.monotonic(), describe_unwell(findings), worst
        return self._health[1:]


UNWELL_SHOWN, UNWELL_LENGTH = 3, 200
"""How many parts of the bot a notice names, and how long their text may get, so that its line isn't cut."""


def describe_unwell(findings: Sequence[Judgment]) -> str:
    """Return the first parts of the bot that aren't OK, each with its finding if there is room for it."""
    text = ""
    for finding in findings[:UNWELL_SHOWN]:
        named = f"{text}; {finding.subject} {finding.state}".removeprefix("; ")
        whole = f"{named}, {finding.found}"
        text = whole if len(whole) <= UNWELL_LENGTH else named
    others = len(findings) - UNWELL_SHOWN
    return f"{text}; {pluralize(others, 'more part')}" if others > 0 else text


def _is_summary(event: SystemEvent) -> bool:
    kind = EventKind.CHORE_RAN
    same = (event.subsystem, event.event_type) == (kind.subsystem, kind.event_type)
    return same and event.details.get("job") == Topic.SUMMARY.value


def evidence_time(app: "App") -> datetime:
    """Return the current time for notices: in the sandbox the time of its records, elsewhere this machine's."""
    if app.mode is not Mode.SANDBOX:
        return datetime.now(UTC)
    mark = app.ledger_view.last_reconcile()
    recorded = app.existing_facts
    times = (mark.at if mark else None, recorded.last_pass() if recorded is not None else None)
    return age_reference_time(app, times) or datetime.now(UTC)


def rounds(app: "App", addresses: Mapping[str, str], pause_s: float) -> Iterator[DeliveryRound]:
    """Yield the bot's deliveries once per round, with a pause after each, until the caller stops."""
    delivery_round = DeliveryRound(app, addresses)
    try:
        while True:
            yield delivery_round
            time.sleep(pause_s)
    finally:
        delivery_round.close()


def _waiting(written: Sequence[SystemEvent], now: datetime) -> Iterator[SystemEvent]:
    """Yield the unanswered requests for approval that haven't expired."""
    requests, answered = (
        {event.details.get("id"): event for event in written if event.event_type == kind.event_type}
        for kind in (EventKind.APPROVAL_ASKED, EventKind.APPROVAL_ANSWERED)
    )
    for name, event in requests.items():
        if name not in answered and datetime.fromisoformat(event.details["until"]) > now:
            yield event


ONE_IS_ENOUGH = "a running serve sends notices itself, so remove the cron line"

PAUSE_S = 0.25
"""Real seconds between two looks for new events."""

NONE_YET = "no channel is configured, so nobody gets notices"

ADD_ONE = "add one to your configuration, such as notify: {channels: {phone: {}}}, and its address to .env"


class ChannelRow(Struct, frozen=True):
    """One channel: its rules, the environment variable for its address, whether that is set, and its last notice."""

    name: str
    topics: tuple[str, ...]
    events: tuple[str, ...]
    least: str
    quiet: str | None
    most_an_hour: int
    variable: str
    has_address: bool
    last_at: datetime | None
    last: str | None
    problem: str


class Channels(Struct, frozen=True):
    """All channels, by name."""

    channels: tuple[ChannelRow, ...]


class NoticeRow(Struct, frozen=True):
    """A notice and its delivery; times are trading times."""

    made_at: datetime
    channel: str
    severity: str
    title: str
    text: str
    sending: str
    attempts: int
    next_at: datetime | None
    problem: str


class Notices(Struct, frozen=True):
    """The last notices, oldest first."""

    notices: tuple[NoticeRow, ...]


class TestDelivery(Struct, frozen=True):
    """The result of a test message by channel: empty if it was sent, otherwise why it wasn't.

    `confirmed` is the channel whose message a person has confirmed, None otherwise.
    """

    problems: Mapping[str, str]
    confirmed: str | None


class NoticesSent(Struct, frozen=True):
    """The number of notices sent, and the number still pending."""

    sent: int
    left: int


def known_addresses(bot: "App") -> Mapping[str, str]:
    """Return the addresses of the bot's channels; raise OperatorError if it has no channel."""
    if not bot.settings.notify.in_use():
        raise OperatorError(NONE_YET, ADD_ONE)
    return addresses_of(bot.settings, os.environ)


def render_channels(console: "Console", data: Channels) -> None:
    for row in data.channels:
        address = f"its address is in {row.variable}" if row.has_address else f"NO ADDRESS: set {row.variable} in .env"
        console.print(f"[bold]{row.name}[/bold]: {address}")
        everything = set(row.topics) >= {topic.value for topic in Topic} - {"events"}
        console.print(
            f"  gets notices of {('everything' if everything else ', '.join(row.topics))}, {row.least} or more severe"
        )
        if row.events:
            console.print(f"  and these events: {', '.join(row.events)}")
        quiet = f"quiet {row.quiet} except for CRITICAL notices; " if row.quiet else ""
        console.print(f"  {quiet}at most {row.most_an_hour} messages an hour besides CRITICAL ones")
        if row.last_at is not None:
            problem = f": {clean(row.problem)}" if row.problem else ""
            console.print(f"  the last notice was created {when(row.last_at)}, {row.last}{problem}", markup=False)


def render_notices(console: "Console", data: Notices) -> None:
    if not data.notices:
        console.print("No notice was sent yet.")
    for row in data.notices:
        how = row.sending if not row.problem else f"{row.sending}, attempt {row.attempts}: {clean(row.problem)}"
        console.print(f"{when(row.made_at)} {row.channel} ({how})", markup=False, style="bold")
        for line in (row.title, *row.text.split("\n")):
            console.print(f"  {clean(line)}", markup=False)


def confirmed_by(bot: "App", channel: str | None, code: str, addresses: Mapping[str, str]) -> Report:
    """Record that a person has read a channel's test message; raise OperatorError for a wrong code."""
    from commands.shared.checklist import READ, remember

    if channel is None or channel not in addresses:
        hint = (
            f"name one of these: {', '.join(addresses)}"
            if addresses
            else "no channel has an address yet: tradebot notify list"
        )
        raise OperatorError("--confirm needs a channel that has an address", hint)
    expected = confirmation_code(bot.folder.id, addresses[channel])
    if code.strip().lower() != expected:
        raise OperatorError(
            f"{word(code)} isn't the code of the message to {channel}",
            f"tradebot notify test {channel} sends it again",
            code=ExitCode.REFUSED,
        )
    remember(bot, f"{READ} {channel}", expected)
    return Report("notify-test", TestDelivery({}, channel), render_tried)


def attempt(bot: "App", name: str, address: str | None) -> str:
    if address is None:
        return f"it has no address: set {address_variable(name)} in .env"
    title = f"tradebot {bot.mode_name} ...{bot.account_tail}: a test"
    code = confirmation_code(bot.folder.id, address)
    text = f"If you can read this, notices arrive. Now type: tradebot notify test {name} --confirm {code}"
    with closing(Attempt(address, Notice(title, text, Severity.INFO))) as attempt:
        while not attempt.has_ended():
            time.sleep(PAUSE_S)
        return attempt.problem()


def render_tried(console: "Console", data: TestDelivery) -> None:
    if data.confirmed is not None:
        console.print(f"{data.confirmed}: a person has read its test message. Next: tradebot live status", markup=False)
    for name, problem in data.problems.items():
        console.print(f"{name}: {f'NOT SENT: {problem}' if problem else 'sent; check that it arrived'}", markup=False)
        if not problem:
            console.print(f"  it shows a code; type it: tradebot notify test {name} --confirm CODE", markup=False)


def counts(bot: "App") -> tuple[int, int]:
    """Return the number of notices sent so far, and the number still pending."""
    with closing(Outbox(bot.folder.path, bot.events, datetime.now(UTC))) as outbox:
        recent = outbox.last(1_000)
    return sum(note.sending is Sending.SENT for note in recent), sum(note.sending is Sending.WAITING for note in recent)


def render_sent(console: "Console", data: NoticesSent) -> None:
    unsent = f"; {data.left} still to be sent: tradebot notify last" if data.left else ""
    console.print(f"{data.sent} sent{unsent}")
