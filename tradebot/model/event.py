"""Operational events, for the people and machines that monitor the bot. Each kind is listed once, in `EventKind`."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum, StrEnum

from msgspec import Struct, field


class Severity(StrEnum):
    """How urgently a person should react."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class SystemEvent(Struct, frozen=True):
    """An event of the bot itself, as written to its files; create one with `EventKind.at`."""

    timestamp: datetime
    subsystem: str
    event_type: str
    severity: Severity
    symbol: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)


class EventKind(Enum):
    """Every kind of event: its subsystem, its type, what happened, and its severity, which is usually a warning.

    Types are stable names: a type never changes its meaning, so old logs stay readable.
    """

    subsystem: str
    event_type: str
    meaning: str
    severity: Severity

    def __new__(cls, value: str, meaning: str, severity: Severity = Severity.WARN) -> "EventKind":
        kind = object.__new__(cls)
        kind.subsystem, _, kind.event_type = value.partition(".")
        kind._value_, kind.severity, kind.meaning = value, severity, meaning
        return kind

    COUNTER_SIGNAL = (
        "signals.counter_signal_detected",
        "A strategy proposes the opposite side of a position that it holds, with a score that would be enough for an "
        "entry. It is told once, until a pass in which the signal is gone.",
        Severity.INFO,
    )
    MISSED_CANDIDATE = (
        "decision.missed_candidate",
        "An entry passed every gate, but the broker refused its order, which is a warning, or the order ended without "
        "a fill; or nothing but the limits on open positions refused it. The last is told once, until a pass in which "
        "it isn't so.",
        Severity.INFO,
    )
    GATE_BLOCKED = (
        "gate.blocked",
        "A pass refused as many entries as shown, for the reason and by the gate shown. It is told once for each pass "
        "and reason; `why-no-orders` shows each entry.",
        Severity.INFO,
    )
    STALE_BARS = (
        "data.stale_bars_detected",
        "The newest bar of a symbol is older than a strategy allows, so the strategy wasn't asked about the symbol. It "
        "is told once, until a pass in which the bars are fresh.",
    )
    CLOSE_FAILED = (
        "exit.close_position_failed",
        "The broker refused an order that closes a position, the order ended with shares left to close, or it stayed "
        "unfilled for `limits.exit_life_s`. It is told once for each order and each of these causes.",
        Severity.ERROR,
    )
    ALL_CLOSES_FAILED = (
        "exit.close_position_all_attempts_failed",
        "A third order to close the same position has failed. The bot keeps trying, but a person should look.",
        Severity.CRITICAL,
    )
    PROTECTION_GAP = (
        "orders.protection_gap",
        "No stop at the broker can trigger for these shares since the time shown, because an exit took its place, the "
        "broker refused it, or its state doesn't allow it; or perhaps none, because the broker's answers about it "
        "disagree. The bot's own rules act. It is told once, until it ends.",
    )
    PROTECTION_GAP_ENDED = (
        "orders.protection_gap_ended",
        "A gap in the protection has ended after the time shown: the shares were closed, or a stop rests again. A "
        "doubt that proves groundless has lasted no time.",
    )
    OVERFILLED = (
        "orders.position_overfilled",
        "A stop, a target or an exit filled after the shares that it was to close were gone, so the position turned to "
        "the other side. The same pass of exits closes it. It is told once.",
        Severity.ERROR,
    )
    STOP_MOVED = (
        "orders.stop_moved_by_broker",
        "The broker itself moved a stop that rests there, as it does for splits and dividends. If that made the stop "
        "looser than the rules say, the next pass of exits moves it back.",
    )
    ORDER_LEFT_OUT = (
        "venue.order_left_out",
        "The broker's list of open orders is missing one of ours, and nothing proves that the order has ended.",
    )
    POSITION_DIFFERS = (
        "venue.position_differs",
        "The broker's position differs from the books, and no fill on its way explains it.",
        Severity.ERROR,
    )
    POSITION_UNPROVEN = (
        "venue.position_unproven",
        "The broker didn't confirm a position when asked about it directly, so no exit is sent.",
        Severity.CRITICAL,
    )
    LIQUIDATED = ("venue.liquidated", "The broker closed a position because margin ran out.", Severity.CRITICAL)
    SETTLED = (
        "venue.settled",
        "The broker itself closed a position, though there was margin: the contract ended, or the position was "
        "assigned to somebody or unwound.",
    )
    ANSWER_DIFFERS = ("venue.answer_differs", "A reply of the broker has a format that we don't know.")
    INSTRUMENT_CHANGED = (
        "venue.instrument_changed",
        "The broker has changed what it demands of orders in a symbol, or what a unit of it is worth: before and now, "
        "with our orders that no longer fit. The new terms are in force.",
    )
    INSTRUMENT_UNKNOWN = (
        "venue.instrument_unknown",
        "The broker doesn't list a symbol that a strategy may trade, or that the bot holds and can't close without "
        "knowing its tick and lot. It is told once, until a pass in which it is listed.",
        Severity.ERROR,
    )
    LEARNED = (
        "learn.finished",
        "`tradebot learn` has looked at closed trades: how many, and what it proposes. Nothing is changed by that.",
        Severity.INFO,
    )
    TIER_CHANGED = (
        "registry.tier_changed",
        "A coin has another tier, is below all of them now, or has figures that aren't known any more or are again.",
        Severity.INFO,
    )
    DATA_HEALTH_CHANGED = (
        "registry.data_health_changed",
        "The data of a coin failed its checks several times in a row (DEGRADED) or for hours (SUSPENDED), or passes "
        "them again (HEALTHY). Unless it is healthy, nothing is opened in the coin.",
    )
    UNIVERSE_CHANGED = (
        "registry.universe_changed",
        "The venue's list of contracts was read, and other coins are traded from the next pass on.",
        Severity.INFO,
    )
    CONTRACT_CHOSEN = (
        "contracts.chosen",
        "A root stands for another contract from this session on, because of a date or of volume, or the volumes "
        "of its contracts aren't known, so that only the date counts.",
        Severity.INFO,
    )
    LIST_NOT_BELIEVED = (
        "registry.list_not_believed",
        "The venue's list of contracts couldn't be read, or is suddenly much shorter, so nothing changed. It is told "
        "once, until a list is believed again.",
        Severity.WARN,
    )
    COIN_UNLISTED = (
        "registry.coin_unlisted",
        "The venue doesn't list a coin any more. It stays in the universe while a position in it is open.",
        Severity.WARN,
    )
    ENTRIES_PAUSED = (
        "registry.entries_paused",
        "Fewer coins have healthy data than it takes, so nothing is opened in any of them. It is told once, until "
        "enough are healthy again.",
        Severity.ERROR,
    )
    ENTRIES_RESUMED = (
        "registry.entries_resumed",
        "Enough coins have healthy data again after a pause of entries.",
        Severity.INFO,
    )
    PRICE_JUMPED = (
        "prices.price_jumped",
        "A second look didn't confirm a price, so the pass went by what it did confirm.",
    )
    FETCH_FAILED = ("flow.fetch_failed", "The flow source didn't answer, or its answer couldn't be used.")
    STREAM_JOINED = (
        "flow.stream_joined",
        "The stream of flow alerts is connected. Alerts that came meanwhile are asked for.",
        Severity.INFO,
    )
    STREAM_LOST = (
        "flow.stream_lost",
        "The stream of flow alerts ended or couldn't be opened. It is reported once until the stream is connected "
        "again. Alerts are fetched on schedule meanwhile.",
    )
    STREAM_FELL_BEHIND = (
        "flow.stream_fell_behind",
        "Alerts came over the stream faster than they were stored, and the rows shown were thrown away. They are asked "
        "for again.",
    )
    STREAM_INCOMPLETE = (
        "flow.stream_incomplete",
        "The stream is connected, but the alerts shown didn't come over it, so it is connected again. It is told once, "
        "until a check in which nothing is missing.",
    )
    REPLIES_BEGUN_ANEW = (
        "flow.REPLIES_BEGUN_ANEW",
        "The store of the flow source's replies was damaged or lost, and a new one was started.",
    )
    REPLY_NOT_KEPT = (
        "flow.reply_not_kept",
        "A reply of the flow source couldn't be kept, so its session can't be scored again exactly. Its facts were "
        "stored all the same.",
    )
    HALTED_ITSELF = ("halts.halted_itself", "The bot halted itself.", Severity.CRITICAL)
    HALTED_BY_FILE = ("halts.halted_by_file", "A person's HALT file was taken over into the books.")
    HALT_OVERRIDDEN = ("halt.overridden", "A person ended a halt although its cause still holds.")
    PROPOSAL_REFUSED = ("strategy.proposal_refused", "A strategy's whole answer was refused.", Severity.ERROR)
    OWN_SLOT_MISSED = ("strategy.slot_missed", "No pass asked a strategy while a slot of its own clock was due.")
    OWN_SLOT_UNFINISHED = (
        "strategy.slot_unfinished",
        "A slot of a strategy's own clock ended before everything in it was done.",
    )
    LINES_REFUSED = ("candidates.lines_refused", "Lines of submitted candidates couldn't be used.")
    GAVE_WAY = ("lock.gave_way", "A pass released the lock for an exit pass and went on after it.", Severity.INFO)
    SLOT_MISSED = (
        "serve.slot_missed",
        "Nobody ran these slots of the timetable, for the reason shown. Entries aren't made up later.",
    )
    SLEPT = (
        "serve.slept",
        "The machine slept, or the process of `serve` was stopped, for the time shown. Books and broker are compared "
        "before anything else, and entries that were due meanwhile are missed.",
    )
    CALENDAR_CHANGED = (
        "calendar.calendar_changed",
        "The broker's calendar has other hours for a day than were stored, or than exchange_calendars has. Slots "
        "and exits go by the broker's; entries stay closed on a day on which the two differ.",
    )
    CALENDAR_ENDS = (
        "calendar.calendar_ends",
        "The broker's calendar, or exchange_calendars, ends within 30 days. After that nothing is due. It is told once "
        "a day.",
    )
    JOB_FAILED = ("serve.job_failed", "A job of `serve` ended with an error that a later run may not meet again.")
    JOB_FAULT = ("serve.job_fault", "A job of `serve` hit a bug in the bot itself.", Severity.ERROR)
    EXCEPTION = (
        "serve.exception",
        "The same bug under the name that earlier bots gave it, with the exception's type, its text and where it was "
        "raised.",
        Severity.ERROR,
    )
    CHORE_RAN = ("serve.chore_ran", "A chore of the timetable did its work; its last output is shown.", Severity.INFO)
    CHORE_FAILED = (
        "serve.chore_failed",
        "A chore of the timetable failed, or was ended after its limit; its last output is shown. It isn't run again.",
    )
    SERVE_NOTE = ("serve.note", "`serve` began, ended, or has something to say about its whole run.", Severity.INFO)
    LANE_STALLED = (
        "serve.lane_stalled",
        "A lane of `serve` made no progress for `serve.stall_s`. `serve.trace` in the state folder says what each of "
        "its threads was doing. It is told once, until the lane goes on.",
        Severity.ERROR,
    )
    LANE_RECOVERED = ("serve.lane_recovered", "A lane of `serve` that stood still goes on.", Severity.INFO)
    MEMORY_SHORT = (
        "serve.memory_short",
        "`serve` has four fifths of the memory that it may have: no chore begins until it has less. Trading goes on.",
    )
    CEILING_REACHED = (
        "serve.ceiling_reached",
        "`serve` has more memory or more open files than it may, so it ends and its supervisor starts it again.",
        Severity.ERROR,
    )
    CONFIG_RELOADED = ("serve.config_reloaded", "A running `serve` took over a changed configuration.")
    CONFIG_NOT_RELOADED = (
        "serve.config_not_reloaded",
        "A running `serve` was asked to reload its configuration, which isn't valid, so it keeps the one that it had.",
        Severity.ERROR,
    )
    DEPENDENCY_AWAY = (
        "serve.dependency_away",
        "Something that the jobs of `serve` depend on failed twice in a row, so they ask it less and less often. Exits "
        "go on. It is told once, until it answers.",
    )
    DEPENDENCY_BACK = ("serve.dependency_back", "Something that was away answers again.", Severity.INFO)
    FILE_ROTATED = ("health.file_rotated", "A full file of events was put away and a new one begun.", Severity.INFO)
    CONFIG_ACCEPTED = ("permission.config_accepted", "A person accepted a configuration.")
    LIVE_ARMED = ("permission.live_armed", "A person armed live trading.")
    PROMOTED = (
        "permission.strategy_promoted",
        "A person promoted a strategy, on the evidence or with a sentence that stands in its place.",
    )
    DEMOTED = (
        "permission.strategy_demoted",
        "What a strategy earned since its promotion is below what that was based on, or a person put it down. Its "
        "entries are closed; its positions keep their stops and exits.",
        Severity.ERROR,
    )
    SWAPPED = (
        "auction.swapped",
        "A position is being closed in the auction, because a newcomer is worth clearly more. Both values are shown.",
        Severity.INFO,
    )
    APPROVAL_ASKED = (
        "approval.asked",
        "An entry passed every gate and waits for a person's yes. `tradebot approvals` shows it.",
        Severity.INFO,
    )
    APPROVAL_ANSWERED = ("approval.answered", "A person said yes or no to an entry.", Severity.INFO)
    APPROVALS_BEGUN_ANEW = (
        "approval.begun_anew",
        "The store of approvals was damaged or lost, and a new one was started. What waited is asked again.",
    )
    BACKUP_MADE = ("backup.made", "The session's backup was made.", Severity.INFO)
    BACKUP_FAILED = ("backup.failed", "The session's backup couldn't be made.")
    BACKUP_NOT_COPIED = ("backup.not_copied", "A backup couldn't be copied off the machine.")
    BACKUP_DAMAGED = (
        "backup.damaged",
        "An earlier backup doesn't have the content that it had when it was made.",
        Severity.ERROR,
    )
    LEDGER_DAMAGED = ("ledger.damaged", "The books are damaged, so the bot halted.", Severity.CRITICAL)
    BOOKS_REBUILT = ("ledger.rebuilt", "The books were rebuilt.")
    BOOKS_ACCEPTED = ("ledger.accepted", "A person accepted rebuilt books.")
    FACTS_BEGUN_ANEW = ("facts.FACTS_BEGUN_ANEW", "The store of facts was damaged or lost, and a new one was started.")
    FACTS_ROWS_DAMAGED = (
        "facts.rows_damaged",
        "Rows of the store of facts aren't as they were written. They count as absent, and the next pass deletes them.",
    )
    PASSES_BEGUN_ANEW = (
        "decision.passes_begun_anew",
        "The store of what passes read was damaged or lost, and a new one was started. Earlier passes can't be decided "
        "again; what they decided is kept.",
    )
    PASS_NOT_KEPT = (
        "decision.pass_not_kept",
        "What a pass read couldn't be kept, so it can't be decided again. It is told once, until one is kept again.",
    )
    REPLIES_ROWS_DAMAGED = (
        "flow.replies_damaged",
        "Rows of the store of replies aren't as they were written, so these replies count as absent.",
    )
    NOTICES_BEGUN_ANEW = (
        "notices.begun_anew",
        "The store of notices was damaged or lost, and a new one was started. What was still to be sent is lost with "
        "it.",
    )
    NOTICE_FAILED = (
        "notices.notice_failed",
        "A notice couldn't be sent for a day, so it isn't tried any more. `notify last` shows it.",
        Severity.ERROR,
    )
    CHAT_PAIRED = ("chat.paired", "A person paired the chat, or ended that.")
    CHAT_ACTED = ("chat.acted", "The paired chat halted the bot, or said yes or no to an entry.", Severity.INFO)
    CHAT_REFUSED = ("chat.refused", "As many messages to the chat as shown were refused.")
    CHAT_BEGUN_ANEW = ("chat.begun_anew", "The chat's records were damaged; nobody is paired now.")
    BARS_BEGUN_ANEW = ("bars.BARS_BEGUN_ANEW", "The store of bars was damaged or lost, and a new one was started.")
    BARS_OF_EARLIER_VERSION = (
        "bars.BARS_OF_EARLIER_VERSION",
        "An earlier version of this program stored the bars. They were put aside, and what is needed is fetched again.",
        Severity.INFO,
    )

    def at(
        self,
        timestamp: datetime,
        details: Mapping[str, str],
        symbol: str | None = None,
        *,
        severity: Severity | None = None,
    ) -> SystemEvent:
        """Return an event of this kind, with the kind's severity unless another is given."""
        return SystemEvent(timestamp, self.subsystem, self.event_type, severity or self.severity, symbol, details)


OF_DAMAGED_STORES: Mapping[tuple[str, str], EventKind] = {
    (kind.subsystem, kind.event_type): kind
    for kind in (
        EventKind.FACTS_BEGUN_ANEW,
        EventKind.FACTS_ROWS_DAMAGED,
        EventKind.REPLIES_BEGUN_ANEW,
        EventKind.REPLIES_ROWS_DAMAGED,
        EventKind.BARS_BEGUN_ANEW,
        EventKind.PASSES_BEGUN_ANEW,
    )
}
"""The events of a store that turned out to be damaged, by subsystem and type."""
HEALINGS = frozenset(
    {
        EventKind.STREAM_JOINED,
        EventKind.STREAM_INCOMPLETE,
        EventKind.STREAM_FELL_BEHIND,
        EventKind.PRICE_JUMPED,
        EventKind.DEPENDENCY_BACK,
        EventKind.LANE_RECOVERED,
        EventKind.FILE_ROTATED,
        *OF_DAMAGED_STORES.values(),
    }
)
"""The events of repairs by the bot itself: it reconnected, repeated a request, rotated a full file, or restarted a
store that can be filled again. Everything else needs a person.
"""
NEED_NOBODY = frozenset(
    {
        EventKind.PROTECTION_GAP_ENDED,
        EventKind.HALTED_BY_FILE,
        EventKind.CONFIG_RELOADED,
        EventKind.CONFIG_ACCEPTED,
        EventKind.LIVE_ARMED,
        EventKind.PROMOTED,
        EventKind.BOOKS_ACCEPTED,
        EventKind.CHAT_PAIRED,
    }
)
"""The warnings about a person's own actions, or about ended problems. Notices include them, but nobody has to act."""
