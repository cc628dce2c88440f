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
        "A strategy proposes the opposite side of its own position, with a score high enough for an entry. Not"
        " reported again until the signal is gone.",
        Severity.INFO,
    )
    MISSED_CANDIDATE = (
        "decision.missed_candidate",
        "An entry passed every gate, but the broker refused its order (a warning), or the order ended without"
        " a fill. Or only the limits on open positions refused the entry; that isn't reported again until they"
        " no longer refuse it.",
        Severity.INFO,
    )
    GATE_BLOCKED = (
        "gate.blocked",
        "A pass refused this many entries, for the reason and by the gate shown. Reported once per pass and reason; "
        "`why-no-orders` shows each entry.",
        Severity.INFO,
    )
    STALE_BARS = (
        "data.stale_bars_detected",
        "The newest bar of a symbol is older than a strategy allows, so the strategy skipped the symbol. Not"
        " reported again until the bars are fresh.",
    )
    CLOSE_FAILED = (
        "exit.close_position_failed",
        "The broker refused an order that closes a position, the order ended with shares left to close, or it stayed "
        "unfilled for `limits.exit_life_s`. Reported once for each order and cause.",
        Severity.ERROR,
    )
    ALL_CLOSES_FAILED = (
        "exit.close_position_all_attempts_failed",
        "A third order to close the same position has failed. The bot keeps trying, but a person should look.",
        Severity.CRITICAL,
    )
    PROTECTION_GAP = (
        "orders.protection_gap",
        "Since the time shown, no stop at the broker protects these shares: an exit replaced it, the broker"
        " refused it, or its state doesn't allow it to trigger. Or the broker's replies about a stop disagree,"
        " so it may not work. Meanwhile, the bot's own exit rules apply. Not reported again until the gap ends.",
    )
    PROTECTION_GAP_ENDED = (
        "orders.protection_gap_ended",
        "A gap in protection has ended: the shares were closed, or a stop rests again. The gap lasted from the"
        " time shown; it lasted no time if the stop turned out to have rested all along.",
    )
    OVERFILLED = (
        "orders.position_overfilled",
        "A stop, a target or an exit filled although its shares were already gone, so the position reversed."
        " The same exit pass closes the new position. Reported once.",
        Severity.ERROR,
    )
    STOP_MOVED = (
        "orders.stop_moved_by_broker",
        "The broker itself moved a resting stop, as it does for splits and dividends. If that made the stop looser "
        "than the rules require, the next exit pass moves it back.",
    )
    ORDER_LEFT_OUT = (
        "venue.order_left_out",
        "The broker's list of open orders is missing one of ours, and nothing proves that the order has ended.",
    )
    POSITION_DIFFERS = (
        "venue.position_differs",
        "The broker's position differs from the books, and no pending fill explains it.",
        Severity.ERROR,
    )
    POSITION_UNPROVEN = (
        "venue.position_unproven",
        "The broker didn't confirm a position when queried about it directly, so no exit is sent.",
        Severity.CRITICAL,
    )
    LIQUIDATED = ("venue.liquidated", "The broker closed a position because margin ran out.", Severity.CRITICAL)
    SETTLED = (
        "venue.settled",
        "The broker itself closed a position although margin was sufficient: the contract ended, or the position was "
        "assigned to somebody or unwound.",
    )
    ANSWER_DIFFERS = (
        "venue.answer_differs",
        "The broker's reply has a format that we don't know.",
    )
    INSTRUMENT_CHANGED = (
        "venue.instrument_changed",
        "The broker changed its requirements for orders in a symbol, or the value of a unit. The event shows"
        " the old and new terms, and our orders that break the new ones. The new terms apply.",
    )
    INSTRUMENT_UNKNOWN = (
        "venue.instrument_unknown",
        "The broker doesn't list a symbol that a strategy may trade; or it doesn't list one that the bot has a"
        " position in, which the bot can't close without the symbol's tick and lot. Not reported again until"
        " the broker lists the symbol.",
        Severity.ERROR,
    )
    LEARNED = (
        "learn.finished",
        "`tradebot learn` evaluated closed trades: how many, and what it proposes. It changes nothing.",
        Severity.INFO,
    )
    TIER_CHANGED = (
        "registry.tier_changed",
        "A coin's tier changed, or the coin fell below all tiers. Or its volume, spread or price became"
        " unknown, or is known again.",
        Severity.INFO,
    )
    DATA_HEALTH_CHANGED = (
        "registry.data_health_changed",
        "The data of a coin failed its checks several times in a row (DEGRADED) or for hours (SUSPENDED), or"
        " passes them again (HEALTHY). While its data isn't healthy, nothing is opened in the coin.",
    )
    UNIVERSE_CHANGED = (
        "registry.universe_changed",
        "The venue's list of contracts was read, and the next pass trades a changed set of coins.",
        Severity.INFO,
    )
    CONTRACT_CHOSEN = (
        "contracts.chosen",
        "From this session on, a root refers to a different contract, because of the date or the volume. Or"
        " the volumes of its contracts are unknown, so the date alone decides.",
        Severity.INFO,
    )
    LIST_NOT_BELIEVED = (
        "registry.list_not_believed",
        "The venue's list of contracts couldn't be read, or is suddenly much shorter, so nothing changed. Not "
        "reported again until a list is accepted.",
        Severity.WARN,
    )
    COIN_UNLISTED = (
        "registry.coin_unlisted",
        "The venue doesn't list a coin any more. It stays in the universe while a position in it is open.",
        Severity.WARN,
    )
    ENTRIES_PAUSED = (
        "registry.entries_paused",
        "Fewer coins have healthy data than required, so nothing is opened in any of them. Not reported again "
        "until enough are healthy.",
        Severity.ERROR,
    )
    ENTRIES_RESUMED = (
        "registry.entries_resumed",
        "Enough coins have healthy data again after a pause of entries.",
        Severity.INFO,
    )
    PRICE_JUMPED = (
        "prices.price_jumped",
        "The bot requested a doubtful quote a second time, and the second reply didn't confirm it, or never"
        " came. Exits used a confirmed price, at worst the last trade. If no price was confirmed, nothing was"
        " opened.",
    )
    FETCH_FAILED = (
        "flow.fetch_failed",
        "The flow source didn't answer, or its reply couldn't be used.",
    )
    STREAM_JOINED = (
        "flow.stream_joined",
        "The stream of flow alerts is connected. Alerts sent in the meantime are fetched.",
        Severity.INFO,
    )
    STREAM_LOST = (
        "flow.stream_lost",
        "The stream of flow alerts ended or couldn't be opened. Meanwhile, alerts are fetched on schedule. Not"
        " reported again until the stream is connected.",
    )
    STREAM_FELL_BEHIND = (
        "flow.stream_fell_behind",
        "Alerts arrived over the stream faster than they could be stored, and the rows shown were dropped. They are "
        "fetched again.",
    )
    STREAM_INCOMPLETE = (
        "flow.stream_incomplete",
        "The stream is connected, but the alerts shown didn't arrive over it, so the bot reconnects it. Not"
        " reported again until no alerts are missing.",
    )
    REPLIES_BEGUN_ANEW = (
        "flow.REPLIES_BEGUN_ANEW",
        "The store of the flow source's replies was damaged or lost, and a new one was started.",
    )
    REPLY_NOT_KEPT = (
        "flow.reply_not_kept",
        "A reply of the flow source couldn't be archived, so its session can't be scored again exactly. Its facts "
        "were still stored.",
    )
    HALTED_ITSELF = ("halts.halted_itself", "The bot halted itself.", Severity.CRITICAL)
    HALTED_BY_FILE = (
        "halts.halted_by_file",
        "A person's HALT file was recorded in the books.",
    )
    HALT_OVERRIDDEN = ("halt.overridden", "A person ended a halt although its cause still applies.")
    PROPOSAL_REFUSED = (
        "strategy.proposal_refused",
        "A strategy's entire result was refused.",
        Severity.ERROR,
    )
    OWN_SLOT_MISSED = (
        "strategy.slot_missed",
        "No pass ran a strategy during one of the strategy's own slots.",
    )
    OWN_SLOT_UNFINISHED = (
        "strategy.slot_unfinished",
        "A strategy's own slot ended before the bot had done everything that the strategy wanted.",
    )
    LINES_REFUSED = ("candidates.lines_refused", "Lines of submitted candidates couldn't be used.")
    GAVE_WAY = (
        "lock.gave_way",
        "A pass released the lock for an exit pass and resumed afterward.",
        Severity.INFO,
    )
    SLOT_MISSED = (
        "serve.slot_missed",
        "These slots of the timetable were missed, for the reason shown. Entries aren't made up later.",
    )
    SLEPT = (
        "serve.slept",
        "The machine slept, or the process of `serve` was stopped, for the time shown. Books and broker are compared "
        "before anything else, and entries that were due meanwhile are missed.",
    )
    CALENDAR_CHANGED = (
        "calendar.calendar_changed",
        "The broker's calendar now has different hours for a day than the stored calendar, or than"
        " exchange_calendars. Slots and exits follow the broker's calendar. The message says whether entries"
        " stay blocked that day.",
    )
    CALENDAR_ENDS = (
        "calendar.calendar_ends",
        "The broker's calendar, or exchange_calendars, ends within 30 days. After that nothing is due. Reported once "
        "a day.",
    )
    JOB_FAILED = (
        "serve.job_failed",
        "A job of `serve` ended with an error that may not recur in a later run.",
    )
    JOB_FAULT = ("serve.job_fault", "A job of `serve` hit a bug in the bot itself.", Severity.ERROR)
    EXCEPTION = (
        "serve.exception",
        "A job of `serve` hit a bug in the bot itself. This repeats `serve.job_fault` under the name that"
        " earlier versions used, and adds the exception's type, its message and where it was raised.",
        Severity.ERROR,
    )
    CHORE_RAN = ("serve.chore_ran", "A chore of the timetable succeeded; its last output is shown.", Severity.INFO)
    CHORE_FAILED = (
        "serve.chore_failed",
        "A chore of the timetable failed, or was stopped at its time limit; its last output is shown. It isn't run "
        "again.",
    )
    SERVE_NOTE = ("serve.note", "`serve` started or ended, or reports something about its whole run.", Severity.INFO)
    LANE_STALLED = (
        "serve.lane_stalled",
        "A lane of `serve` made no progress for `serve.stall_s`. `serve.trace` in the state folder shows what each "
        "of its threads was doing. Not reported again until the lane makes progress.",
        Severity.ERROR,
    )
    LANE_RECOVERED = (
        "serve.lane_recovered",
        "A stalled lane of `serve` makes progress again.",
        Severity.INFO,
    )
    MEMORY_SHORT = (
        "serve.memory_short",
        "`serve` uses four fifths of the memory allowed: no chore starts until it uses less. Trading goes on.",
    )
    CEILING_REACHED = (
        "serve.ceiling_reached",
        "`serve` uses more memory or more open files than allowed, so it ends and its supervisor restarts it.",
        Severity.ERROR,
    )
    CONFIG_RELOADED = ("serve.config_reloaded", "A running `serve` took over a changed configuration.")
    CONFIG_NOT_RELOADED = (
        "serve.config_not_reloaded",
        "A running `serve` was asked to reload its configuration, which isn't valid, so it keeps the previous one.",
        Severity.ERROR,
    )
    DEPENDENCY_AWAY = (
        "serve.dependency_away",
        "Something that the jobs of `serve` depend on failed twice in a row, so they query it less and less often. "
        "Exits continue. Not reported again until it answers.",
    )
    DEPENDENCY_BACK = (
        "serve.dependency_back",
        "Something that was unavailable answers again.",
        Severity.INFO,
    )
    FILE_ROTATED = (
        "health.file_rotated",
        "A full event file was archived and a new one started.",
        Severity.INFO,
    )
    CONFIG_ACCEPTED = ("permission.config_accepted", "A person accepted a configuration.")
    LIVE_ARMED = ("permission.live_armed", "A person armed live trading.")
    PROMOTED = (
        "permission.strategy_promoted",
        "A person promoted a strategy: based on its evidence, or, without enough evidence, by typing a sentence.",
    )
    DEMOTED = (
        "permission.strategy_demoted",
        "A strategy's results since its promotion are below those on which it was promoted, or a person"
        " demoted it. Its entries are blocked; its positions keep their stops and exits.",
        Severity.ERROR,
    )
    SWAPPED = (
        "auction.swapped",
        "The auction closes a position because a candidate's value is clearly higher. Both values are shown.",
        Severity.INFO,
    )
    APPROVAL_ASKED = (
        "approval.asked",
        "An entry passed every gate and waits for a person's approval. `tradebot approvals` shows it.",
        Severity.INFO,
    )
    APPROVAL_ANSWERED = ("approval.answered", "A person approved or rejected an entry.", Severity.INFO)
    APPROVALS_BEGUN_ANEW = (
        "approval.begun_anew",
        "The store of approvals was damaged or lost, and a new one was started. Pending approvals are requested again.",
    )
    BACKUP_MADE = ("backup.made", "The session's backup was made.", Severity.INFO)
    BACKUP_FAILED = ("backup.failed", "The session's backup couldn't be made.")
    BACKUP_NOT_COPIED = ("backup.not_copied", "A backup couldn't be copied off the machine.")
    BACKUP_DAMAGED = (
        "backup.damaged",
        "An earlier backup no longer has the content that it had when it was made.",
        Severity.ERROR,
    )
    LEDGER_DAMAGED = ("ledger.damaged", "The books are damaged, so the bot halted.", Severity.CRITICAL)
    BOOKS_REBUILT = ("ledger.rebuilt", "The books were rebuilt.")
    BOOKS_ACCEPTED = ("ledger.accepted", "A person accepted rebuilt books.")
    FACTS_BEGUN_ANEW = ("facts.FACTS_BEGUN_ANEW", "The store of facts was damaged or lost, and a new one was started.")
    FACTS_ROWS_DAMAGED = (
        "facts.rows_damaged",
        "Rows of the store of facts were changed since they were written. They count as absent, and the next pass "
        "deletes them.",
    )
    PASSES_BEGUN_ANEW = (
        "decision.passes_begun_anew",
        "The store of passes' inputs was damaged or lost, and a new one was started. Earlier passes can't be "
        "replayed; their decisions are still there.",
    )
    PASS_NOT_KEPT = (
        "decision.pass_not_kept",
        "A pass's inputs couldn't be stored, so it can't be replayed. Not reported again until storing works.",
    )
    REPLIES_ROWS_DAMAGED = (
        "flow.replies_damaged",
        "Rows of the store of replies were changed since they were written, so these replies count as absent.",
    )
    NOTICES_BEGUN_ANEW = (
        "notices.begun_anew",
        "The store of notices was damaged or lost, and a new one was started. Notices that weren't sent yet are lost "
        "with it.",
    )
    NOTICE_FAILED = (
        "notices.notice_failed",
        "The bot tried for a day to send a notice, and then gave up. `notify last` shows it.",
        Severity.ERROR,
    )
    CHAT_PAIRED = ("chat.paired", "A person paired the chat, or ended the pairing.")
    CHAT_ACTED = (
        "chat.acted",
        "The paired chat halted the bot, approved or rejected an entry, or closed a position.",
        Severity.INFO,
    )
    CHAT_REFUSED = ("chat.refused", "This many messages to the chat were refused.")
    WEB_ACTED = ("web.acted", "A person who is logged in to the pages started this verb there.", Severity.INFO)
    CHAT_BEGUN_ANEW = (
        "chat.begun_anew",
        "The chat's records were damaged, so no chat is paired now.",
    )
    BARS_BEGUN_ANEW = ("bars.BARS_BEGUN_ANEW", "The store of bars was damaged or lost, and a new one was started.")
    BARS_OF_EARLIER_VERSION = (
        "bars.BARS_OF_EARLIER_VERSION",
        "The bars were stored by an earlier version of this program. They were set aside, and needed ones are "
        "fetched again.",
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
"""The events about a damaged store, by subsystem and type."""
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
store that can be filled again.
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
"""The warnings about a person's own actions, or about problems that are over.

Notices include them, but nobody has to act.
"""
