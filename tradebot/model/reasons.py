"""The reasons that concern passes, strategies and halts, and the enum of all reasons. Each is declared once, with its
meaning.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from tradebot.model.gate import DisplacementReasons, LimitReasons
from tradebot.model.order_reasons import ContractReasons, OrderReasons
from tradebot.model.reason_codes import Cause, ReasonRow, Unit, blocked, broken, idle, unknown
from tradebot.model.strategy_reasons import BarReasons, PolicyReasons, RealMoneyReasons, RegistryReasons, SetupReasons

__all__ = ["MAKING_ROOM", "POLICY_REASONS", "REASONS", "SETUP_REASONS", "Cause", "Reason", "ReasonRow"]


class PassReasons:
    """Reasons that concern passes and permission."""

    CUT_SHORT = broken(
        "The pass was killed or is still running. The orders it had recorded are in the ledger.",
        "Run the verb again: it resumes the same slot, and nothing is sent twice.",
    )
    VENUE_UNREACHABLE = broken(
        "The broker or its data service didn't answer.", "Run tradebot doctor, then run the verb again later."
    )
    KEYS_REFUSED = broken("The broker refused the keys.", "Fix the keys, then run tradebot doctor.")
    PASS_FAILED = broken("The pass ended with an error.", "Fix what the error names, then run the verb again.")
    MARKET_CLOSED = idle(
        "The session is closed.", "Wait for the next open; on the sandbox: tradebot exchange tick next_open"
    )
    SLOT_TAKEN = idle(
        "This slot of the timetable has already run.",
        "Wait for the next slot, or use --force-slot; on the sandbox: tradebot exchange tick 5m",
    )
    OUTSIDE_TIMETABLE = idle(
        "The timetable has no slot for this job at this time.",
        "Wait for its next slot, or use --force-slot. The hours are under timetable: in the configuration.",
    )
    SLOT_MISSED = broken(
        "Nothing was done in this slot.",
        "Wait for the next slot, or use --force-slot. tradebot events shows what was down or slow.",
        Unit.SECONDS,
    )
    SLOT_UNFINISHED = blocked(
        "A strategy's own slot ended before everything it wanted was done. The rest isn't made up later.",
        "tradebot why-no-orders --last 20 shows what delayed it. Start the strategy's slots earlier.",
        Unit.SECONDS,
    )
    SLOT_SUPERSEDED = broken(
        "A later slot of the same job began before anything ran in this one.",
        "Nothing to do. If it happens often, the job takes longer than its slots allow: tradebot events",
    )
    NOT_RUNNING = broken(
        "Nothing was running during this slot.",
        "Keep tradebot serve running, or start the verbs by cron or systemd: see deploy/.",
        Unit.SECONDS,
    )
    ASLEEP = broken(
        "The machine slept or the process was stopped in this slot.",
        "Turn off the machine's sleep while it trades.",
        Unit.SECONDS,
    )
    STAGE_FAILED = broken(
        "A job that this one depends on failed, and didn't succeed while the slot was open.",
        "Run tradebot events to see what failed.",
        Unit.SECONDS,
    )
    MEMORY_SHORT = broken("serve had no memory left for chores.", "Restart serve.", Unit.SECONDS)
    CLOSED_EARLY = idle(
        "The session closed earlier than planned, or didn't take place, so this slot never came.",
        "Nothing to do.",
        Unit.SECONDS,
    )
    GAVE_WAY = broken(
        "The pass yielded to exits too often to finish. Its recorded orders are in the ledger.",
        "Run the verb again: it resumes the same slot, and nothing is sent twice.",
    )
    CALENDAR_DISAGREES = broken(
        "The broker's clock and our calendar disagree about the session. Exits follow the broker's.",
        "tradebot doctor compares both calendars. Entries stay blocked until they agree.",
    )
    CLOCKS_DISAGREE = broken(
        "The broker's clock and this machine's differ too much: no entries, and only exits by price.",
        "tradebot doctor compares them. Set this machine's clock, by NTP if possible.",
        Unit.SECONDS,
    )
    STATE_ON_NETWORK = blocked(
        "The state folder is on a network disk, where its locks can't keep another machine out.",
        "Stop tradebot, move the folder to a local disk, then run tradebot live status --state-dir NEW.",
    )
    FOLDER_COPIED = blocked(
        "The state folder is a copy, and the bot is still in the original: both would close positions.",
        "Use the folder that tradebot live status names, or stop its bot and run tradebot live take-over.",
    )
    ORDER_GATE_CLOSED = blocked(
        "ALLOW_ORDERS, ENABLE_ORDER_EXEC, DRY_RUN or LIVE_TRADING_ACK blocks every order, including exits.",
        "Run tradebot live status to see which one; set or unset it in the environment or in .env.",
    )
    LIVE_MODE_UNSAID = blocked(
        "The configuration file doesn't say mode: live, and without that no order goes to a live account.",
        "To trade real money, write mode: live into tradebot.yaml; then: tradebot live status",
    )
    LIVE_ACCOUNT_UNSAID = blocked(
        "The environment doesn't name the live account that may be traded.",
        "To trade real money, set TRADEBOT_LIVE to the account number's last four characters.",
    )
    LIVE_NOT_ARMED = blocked(
        "Live trading isn't armed, so no orders are sent, including exits.",
        "Run tradebot live status, then tradebot live arm in a terminal.",
    )
    LIVE_ARMING_EXPIRED = blocked(
        "The sessions for which live trading was armed are over: entries are blocked, exits continue.",
        "Run tradebot live arm in a terminal.",
    )
    SHADOW_LIFTED = blocked(
        "shadow: true was accepted, but is no longer configured: no orders are sent, not even exits.",
        "Set shadow: true again, or approve real orders: tradebot config accept",
    )
    CONFIG_LOOSENED = blocked(
        "A setting is looser than in the accepted configuration: entries are blocked, exits continue.",
        "Run tradebot config accept to review each one, or set it back; then reload serve if it runs.",
    )
    CONFIG_NOT_ACCEPTED = blocked(
        "Nobody has accepted a configuration for these books: entries are blocked, exits continue.",
        "Run tradebot config accept.",
    )
    BOOKS_UNREADABLE = broken(
        "The books can't be read, so the accepted configuration is unknown: entries are blocked.",
        "Run tradebot health: it shows what is wrong with the books, and how to rebuild them.",
    )
    CONFIG_UNREADABLE = broken(
        "The configuration can't be read: entries are blocked, and exits follow the accepted one.",
        "Run tradebot config check, and fix what it shows; then reload serve if it runs.",
    )
    DISK_LOW = blocked(
        "The disk of the state folder is nearly full: entries are blocked, exits continue.",
        "Free space, but never the journal or quarantine: tradebot status --stores shows what is large.",
    )


class DeskReasons:
    """Reasons that concern the account, the books and the instrument."""

    DRY_RUN = idle("A dry run sends nothing.", "Run the verb without --dry-run.")
    SHADOW = idle(
        "The bot is in shadow mode: it decided on this order and recorded it, but didn't send it.",
        "Nothing to do. To send orders, set shadow: false, then run tradebot config accept.",
    )
    ACCOUNT_BLOCKED = blocked(
        "The broker has blocked the account.", "Ask the broker; tradebot live status shows the account's flags."
    )
    HALTED = blocked(
        "Trading is halted. The bot opens no position, and closes none to make room for another.",
        "tradebot status names the cause. Run tradebot reconcile until the books agree, then unhalt.",
    )
    STATE_UNREADABLE = broken(
        "The trading state can't be read, so it counts as REDUCE_ONLY.",
        'See "Damaged state" in docs/RUNBOOK.md, then run tradebot unhalt.',
    )
    PASS_FAULT = broken(
        "A pass hit a bug in the bot itself (perhaps in a gate), which halted the bot.",
        "Run tradebot --debug VERB to see the error and report it, then run tradebot unhalt.",
    )
    CRASH_LOOP = broken(
        "serve was restarted again and again within minutes, which halted the bot. Exits continue.",
        "Run tradebot events to see why it ended, then run tradebot unhalt.",
    )
    NOT_RECONCILED = blocked("The books have never been compared with the broker's.", "Run tradebot reconcile.")
    RECONCILE_STALE = blocked("The last comparison with the broker is too old.", "Run tradebot reconcile.")
    RECONCILE_FROM_FUTURE = broken(
        "The last comparison with the broker is dated later than the broker's clock.", "Run tradebot reconcile."
    )
    RECONCILE_FINDINGS = blocked(
        "The books and the broker differ.",
        "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN",
        Unit.FINDINGS,
    )
    VIEW_INCOMPLETE = broken(
        "A position or order of the broker's can't be read, so there may be more than the bot sees.",
        "Read tradebot events, and look at the account on the broker's website.",
        Unit.ROWS,
    )
    VIEW_UNSTEADY = unknown(
        "Our orders changed during each read of the account, so its parts may be from different moments.",
        "Nothing to do: the next pass reads again. Exits continue.",
    )
    POSITIONS_DIFFER = blocked(
        "The broker's positions differ from the books, and no pending fill explains it. Exits continue.",
        "tradebot reconcile shows each difference. Entries resume once the broker agrees.",
    )
    INSTRUMENT_UNKNOWN = unknown(
        "The broker doesn't list this symbol, or its listing doesn't show the tick, lot and value.",
        "Look the symbol up at the broker. If it is gone, take it out of universe: and close it by hand.",
    )
    INSTRUMENT_CHANGED = blocked(
        "A unit of this symbol has a different value than when the position in it was opened.",
        "Run tradebot reconcile to see what changed. Entries resume once the position is closed.",
    )


class DataReasons:
    """Reasons that concern flow, quotes and candidates."""

    FLOW_CONTRACT_FAILED = broken(
        "Too many rows in the flow source's reply belong to other tickers or can't be read.",
        "tradebot fetch-flow --json shows the rows. Entries stay blocked until the source fixes them.",
    )
    CORE_CONTRACT_BROKEN = broken(
        "The rows of a core signal differ from the documented ones: fields gone, null or retyped.",
        "tradebot signals shows an example. Entries stay blocked until the source sends the fields again.",
    )
    FLOW_MISSING = broken("No flow has been fetched for this symbol.", "Run tradebot fetch-flow.")
    FLOW_STALE = broken("The symbol's flow was fetched too long ago.", "Run tradebot fetch-flow.")
    FLOW_FROM_FUTURE = broken("The symbol's flow is dated later than the broker's clock.", "Run tradebot fetch-flow.")
    QUOTE_MISSING = unknown(
        "The broker gave no usable quote.", "Look up the symbol at the broker. The bot never buys without a quote."
    )
    TRADING_SUSPENDED = unknown(
        "The broker has suspended trading in this symbol: no order fills, not even stops.",
        "Look up the symbol at the broker, and wait until it is traded again.",
    )
    PREVIOUS_CLOSE_MISSING = unknown(
        "The broker has no previous close to compare the price with.",
        "Wait one session: a newly listed symbol has no previous close on its first day.",
    )
    QUOTE_STALE = unknown("The quote is too old.", "Wait for a newer quote; illiquid symbols are quoted rarely.")
    QUOTE_FROM_FUTURE = broken(
        "The quote's timestamp is later than the broker's clock.",
        "tradebot doctor compares the clocks. Set this machine's clock if it is wrong.",
    )
    NO_DIRECTION = idle(
        "The score's components cancel out or are all absent, so there is no side to take.",
        "Nothing to do; wait for flow.",
        Unit.NONE,
    )
    FAMILIES_TOO_FEW = idle(
        "Too few independent kinds of data agree with the score's direction.",
        "Nothing to do: the symbol is scored again in the next pass.",
        Unit.FAMILIES,
    )
    LONG_ONLY = idle(
        "The signal is bearish, and the strategy is only allowed to buy.",
        "Nothing to do: the strategy is set to buy only.",
    )
    CANDIDATE_STALE = idle(
        "The candidate's own timestamp is too old.",
        "Send candidates sooner; limits.max_flow_age_s sets how old a signal may be.",
        Unit.SECONDS,
    )
    CANDIDATE_EXPIRED = blocked(
        "Too much time passed between the strategy's answer and the reading of prices and positions.",
        "Nothing to do: the next pass asks again. limits.max_candidate_age_s limits an answer's age.",
    )
    CLUSTER_TOO_SMALL = idle(
        "Too few alerts point the same way within the cluster window.",
        "Nothing to do: the symbol is scored again in the next pass.",
        Unit.ALERTS,
    )
    STRATEGY_DECLINED = idle(
        "The strategy evaluated the symbol and declined it by its own rule.",
        "Nothing to do; the value it observed is shown beside the reason.",
    )
    RANKED_TOO_FEW = unknown(
        "The strategy ranks symbols, and too few of them had bars. It keeps its positions.",
        "Nothing to do: the next pass asks again. tradebot bars check shows what is missing.",
        Unit.SYMBOLS,
    )


class WantReasons:
    """Reasons that concern strategies and their wants."""

    STRATEGY_FAILED = broken(
        "A plug-in isn't installed, or it failed. It is skipped in this pass; others continue.",
        "Install or fix the plug-in: tradebot strategy test NAME runs it. Setting it to null turns it off.",
    )
    STRATEGY_TIMEOUT = broken(
        "A plug-in didn't answer in time and was stopped. It is skipped in this pass; others continue.",
        "Fix the plug-in, or raise plugins.timeout_s (at most 600), then run tradebot config accept.",
        Unit.SECONDS,
    )
    STRATEGY_INVALID = broken(
        "A strategy returned something that isn't a valid want. All its wants in this pass are refused.",
        "Fix the plug-in: tradebot strategy test NAME runs it again, and shows what is wrong.",
    )
    STRATEGY_TOO_MANY = broken(
        "A strategy returned more wants than it has symbols. All of them are refused in this pass.",
        "Fix the plug-in: it may return at most one want per symbol that it sees or has a position in.",
        Unit.CANDIDATES,
    )
    TARGET_REACHED = idle(
        "The strategy's position is at its target, or so close that a trade isn't worth its cost.",
        "Nothing to do; limits.target_tolerance_fraction sets how close is close enough.",
    )
    OUTSIDE_UNIVERSE = idle(
        "The strategy wants more of a symbol that is no longer in its universe.",
        "Put the symbol back into universe and strategies.NAME.universe, or let the strategy close it.",
    )
    ALREADY_CLOSED = idle(
        "The strategy wants to close a position that was closed since it last ran.",
        "Nothing to do; the position is closed.",
    )
    ALREADY_POSITIONED = idle("The strategy already holds this symbol.", "Nothing to do; exits manage it.")
    FOREIGN_POSITION = blocked(
        "The account holds this symbol, but the bot didn't open the position.", "Trade it by hand, or leave it alone."
    )
    OTHER_CONTRACT = blocked(
        "The account has another contract of the same coin, or an order for it; each coin is traded once.",
        "Close the other contract, or wait until it has ended.",
    )
    OPPOSITE_SIDE = idle(
        "Another strategy has a position or an order in this symbol on the opposite side.",
        "Wait until its position is closed, or give each its symbols: strategies.NAME.universe",
    )
    POSITION_GONE = broken(
        "The books hold a position that the broker doesn't.",
        "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN",
    )
    POSITION_UNPROVEN = broken(
        "The broker's list contradicts the books, and nothing else proves this position: no exit is sent.",
        "Look at the position at the broker, then run tradebot reconcile. The next pass queries it again.",
    )
    SPLIT_UNPROVEN = unknown(
        "The broker holds a multiple of our shares: perhaps a split, so prices may not be comparable.",
        "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN",
        Unit.NONE,
    )
    EXIT_WORKING = idle(
        "An exit is already working, at a price at which it can fill now.",
        "Wait for it to fill; tradebot orders shows it.",
    )
    ORDER_WORKING = idle("An order on this symbol is still working.", "Wait for it to fill or to be canceled.")
    ORDER_LEFT_OUT = blocked(
        "One of our orders is missing from the broker's list, and nothing proves that it has ended.",
        "Nothing to do: each pass queries the order by its id. tradebot reconcile names it.",
    )
    INTENT_UNRESOLVED = blocked(
        "We don't know what happened to an earlier order on this symbol.",
        "Run tradebot reconcile to look it up by its id.",
    )


class HaltReasons:
    """Reasons for halts."""

    REJECT_STORM = blocked(
        "The broker refused too many orders within the window.",
        "tradebot orders --all has the broker's messages. Once the window is over, run tradebot unhalt.",
    )
    UNKNOWN_STORM = unknown(
        "Too many orders sent within the window still have no answer.",
        "Run tradebot reconcile to look them up by their ids, then run tradebot unhalt.",
    )
    SECOND_WRITER = broken(
        "An order with one of our ids isn't in these books: a second copy of the bot is running.",
        "Stop the other copy. Then: tradebot adopt SYMBOL --manage for its position, and tradebot unhalt.",
        Unit.ORDERS,
    )
    BOOKS_OLD = broken(
        "The account has orders with our ids that aren't in the books: the folder is an old copy.",
        "tradebot reconcile names them, tradebot reconcile --apply PLAN adopts them; then tradebot unhalt.",
    )
    VENUE_DRIFT = broken(
        "Too many of the broker's positions and orders can't be read: their format is new.",
        "tradebot events names the fields. Update tradebot, then run tradebot unhalt.",
    )


class _Families(
    PassReasons,
    RealMoneyReasons,
    DeskReasons,
    RegistryReasons,
    DataReasons,
    SetupReasons,
    PolicyReasons,
    BarReasons,
    WantReasons,
    DisplacementReasons,
    ContractReasons,
    LimitReasons,
    HaltReasons,
    OrderReasons,
):
    """All reasons, in the order in which they are listed."""


_ROWS = {n: row for family in _Families.__bases__ for n, row in vars(family).items() if isinstance(row, ReasonRow)}

if TYPE_CHECKING:

    class Reason(_Families, StrEnum):
        """Stable names: a code never changes its meaning, so old records stay readable."""

else:
    Reason = StrEnum("Reason", {name: name for name in _ROWS}, module=__name__)
    Reason.__doc__ = "Stable names: a code never changes its meaning, so old records stay readable."

REASONS: dict[Reason, ReasonRow] = {Reason[name]: row for name, row in _ROWS.items()}
"""Every reason with its cause, its meaning and its remedy."""


def _of(family: type) -> frozenset[Reason]:
    return frozenset(Reason[name] for name in vars(family) if name in _ROWS)


MAKING_ROOM = frozenset({Reason.DISPLACEMENT_STARTED, Reason.DISPLACEMENT_PENDING})
"""Reasons for which a candidate only waits until a position is closed."""
POLICY_REASONS, SETUP_REASONS = _of(PolicyReasons), _of(SetupReasons)
"""The reasons that strategies give about learned policies, and about setups."""
