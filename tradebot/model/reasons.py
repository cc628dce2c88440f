"""Reasons of passes, strategies and halts, and the one enum of all reasons: each is declared once, with its facts."""

from enum import StrEnum
from typing import TYPE_CHECKING

from tradebot.model.gate import DisplacementReasons, LimitReasons
from tradebot.model.order_reasons import ContractReasons, OrderReasons
from tradebot.model.reason_codes import Cause, ReasonRow, Unit, blocked, broken, idle, unknown
from tradebot.model.strategy_reasons import BarReasons, PolicyReasons, RealMoneyReasons, RegistryReasons, SetupReasons

__all__ = ["MAKING_ROOM", "POLICY_REASONS", "REASONS", "SETUP_REASONS", "Cause", "Reason", "ReasonRow"]


class PassReasons:
    """Of passes and of permission."""

    CUT_SHORT = broken(
        "The pass started but didn't finish: it was killed, or it's still running. Its promised orders are in the "
        "ledger.",
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
        "Nothing was done in this slot. Missed entries are not made up later.",
        "Wait for the next slot, or use --force-slot. If it happens often, find out what was down or slow: "
        "tradebot events",
        Unit.SECONDS,
    )
    SLOT_UNFINISHED = blocked(
        "A strategy's own slot ended before a pass found everything done that it asked for. What is left isn't made up "
        "later.",
        "Run tradebot why-no-orders --last 20 to see what held it up. To give it more time, let it start earlier, or "
        "write a longer deadline into the strategy's times, such as for 3 sessions.",
        Unit.SECONDS,
    )
    SLOT_SUPERSEDED = broken(
        "A later slot of the same job began before anything ran in this one.",
        "Nothing to do. If it happens often, the job takes longer than its slots allow: tradebot events",
    )
    NOT_RUNNING = broken(
        "Nothing was running during this slot. Missed entries are not made up later.",
        "Keep tradebot serve running, or start the verbs by cron or systemd: see deploy/.",
        Unit.SECONDS,
    )
    ASLEEP = broken(
        "The machine slept, or the process was stopped, during this slot. Missed entries are not made up later.",
        "Turn off the machine's sleep while it trades.",
        Unit.SECONDS,
    )
    STAGE_FAILED = broken(
        "What the timetable says this job needs had failed, and didn't succeed while the slot was open.",
        "Run tradebot events to see what failed.",
        Unit.SECONDS,
    )
    MEMORY_SHORT = broken("serve had no memory to spare for chores.", "Restart serve.", Unit.SECONDS)
    CLOSED_EARLY = idle(
        "The session closed earlier than planned, or didn't take place, so this slot never came.",
        "Nothing to do.",
        Unit.SECONDS,
    )
    GAVE_WAY = broken(
        "The pass gave way to exit passes so often that it ended before it was done. Its promised orders are in the "
        "ledger.",
        "Run the verb again: it resumes the same slot, and nothing is sent twice.",
    )
    CALENDAR_DISAGREES = broken(
        "The broker's clock and our calendar disagree about the session. Exits go by the broker's.",
        "tradebot doctor compares both calendars. Entries stay closed until they agree.",
    )
    CLOCKS_DISAGREE = broken(
        "The broker's clock and this machine's are too far apart to trust either, so there are no entries and no exits "
        "by time. Exits by price continue.",
        "Run tradebot doctor to compare them. Set this machine's clock (timedatectl set-ntp true), or wait for the "
        "broker's.",
        Unit.SECONDS,
    )
    STATE_ON_NETWORK = blocked(
        "The state folder is on a network file system (WSL's /mnt/c is one), where its locks can't keep another "
        "machine out.",
        "Stop tradebot, move the folder to a local disk, then run tradebot live status --state-dir NEW.",
    )
    FOLDER_COPIED = blocked(
        "The state folder is a copy, and the bot is still in the folder that it was copied from: two would close the "
        "same positions.",
        "Use the other folder; tradebot live status names it. If this one is to trade instead, stop the bot in the "
        "other, then run tradebot live take-over.",
    )
    ORDER_GATE_CLOSED = blocked(
        "ALLOW_ORDERS, ENABLE_ORDER_EXEC, DRY_RUN or LIVE_TRADING_ACK blocks every order, including exits.",
        "Run tradebot live status to see which one; set or unset it in the environment or in .env.",
    )
    LIVE_MODE_UNSAID = blocked(
        "The configuration file doesn't say mode: live, and without that no order goes to a live account.",
        "If you mean to trade real money, write mode: live into tradebot.yaml in the state folder, then run tradebot "
        "live status.",
    )
    LIVE_ACCOUNT_UNSAID = blocked(
        "The environment doesn't name the live account that may be traded.",
        "If you mean to trade real money, set TRADEBOT_LIVE to the last four characters of the account number, then "
        "run tradebot live status.",
    )
    LIVE_NOT_ARMED = blocked(
        "Live trading isn't armed, so no orders are sent, including exits.",
        "Run tradebot live status, then tradebot live arm in a terminal.",
    )
    LIVE_ARMING_EXPIRED = blocked(
        "Live trading was armed for a number of sessions, and those are over: entries are closed, exits continue.",
        "Run tradebot live arm in a terminal.",
    )
    SHADOW_LIFTED = blocked(
        "The accepted configuration has shadow: true, but the current one doesn't: no orders are sent, including "
        "exits.",
        "Set shadow: true again, or approve real orders: tradebot config accept",
    )
    CONFIG_LOOSENED = blocked(
        "A setting is looser than in the accepted configuration: entries are closed, exits continue.",
        "Run tradebot config accept to review each one, or set it back. Then reload serve if it runs: it keeps the "
        "configuration that it read last.",
    )
    CONFIG_NOT_ACCEPTED = blocked(
        "Nobody has accepted a configuration for these books: entries are closed, exits continue.",
        "Run tradebot config accept.",
    )
    CONFIG_UNREADABLE = broken(
        "The configuration can't be read: entries are closed, and exits follow the accepted one.",
        "Run tradebot config check to see what is wrong, and fix it. Then reload serve if it runs: it keeps the "
        "configuration that it read last.",
    )
    DISK_LOW = blocked(
        "The disk of the state folder is nearly full: entries are closed, exits continue.",
        "Free space, but never delete the journal or quarantine: tradebot status --stores shows what takes it.",
    )


class DeskReasons:
    """Of the account, the books and the instrument."""

    DRY_RUN = idle("A dry run sends nothing.", "Run the verb without --dry-run.")
    SHADOW = idle(
        "The bot is in shadow mode: it decided on this order and recorded it, but didn't send it.",
        "Nothing to do. To send orders, set shadow: false in the configuration, then run tradebot config accept.",
    )
    ACCOUNT_BLOCKED = blocked("The broker has blocked the account.", "Ask the broker; tradebot status shows the flags.")
    HALTED = blocked(
        "Trading is halted: only orders that reduce risk are sent, and no rebalance gives up a position for another.",
        "Run tradebot status for the cause and tradebot reconcile until the books agree, then tradebot unhalt.",
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
        "serve was started again and again within minutes without ending well, which halted the bot. Exits continue.",
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
        "The broker returned a position or an order we couldn't parse, so the book may be larger than it looks.",
        "Read tradebot events, and look at the account on the broker's website.",
        Unit.ROWS,
    )
    VIEW_UNSTEADY = unknown(
        "Our own orders changed every time we read the account, so the positions and orders may not be from the same "
        "moment.",
        "Nothing to do: the next pass reads again. Exits continue.",
    )
    POSITIONS_DIFFER = blocked(
        "The broker's positions differ from the books, and no pending fill explains it. Exits continue.",
        "Run tradebot reconcile to see each difference. If the broker corrects itself, the next pass opens entries "
        "again.",
    )
    INSTRUMENT_UNKNOWN = unknown(
        "The broker doesn't list this symbol, or lists it in a way that we can't read, so its tick, its lot and what a "
        "unit is worth aren't known.",
        "Look up the symbol at the broker. If it is gone, remove it from universe:, and close what is held of it by "
        "hand.",
    )
    INSTRUMENT_CHANGED = blocked(
        "A unit of this symbol is worth something else than when the position in it was opened.",
        "Run tradebot reconcile to see what changed. Entries in it open again once the position is closed.",
    )


class DataReasons:
    """Of flow, quotes and candidates."""

    FLOW_CONTRACT_FAILED = broken(
        "Too many rows in the flow source's reply belong to other tickers or can't be read.",
        "Run tradebot fetch-flow --json to see the rows, and ask the source. Entries stay closed until it is fixed.",
    )
    CORE_CONTRACT_BROKEN = broken(
        "The rows of a core signal aren't what its source documents: fields are gone, null or of another type.",
        "Run tradebot signals to see which, with an example. Entries stay closed until the source sends the fields "
        "again, or the signal's component has no weight.",
    )
    FLOW_MISSING = broken("No flow has been fetched for this symbol.", "Run tradebot fetch-flow.")
    FLOW_STALE = broken("The symbol's flow was fetched too long ago.", "Run tradebot fetch-flow.")
    FLOW_FROM_FUTURE = broken("The symbol's flow is dated later than the broker's clock.", "Run tradebot fetch-flow.")
    QUOTE_MISSING = unknown(
        "The broker gave no usable quote.", "Look up the symbol at the broker. The bot never buys without a quote."
    )
    TRADING_SUSPENDED = unknown(
        "The broker has suspended trading in it: nothing fills, stops included.",
        "Look up the symbol at the broker, and wait until it is traded again.",
    )
    PREVIOUS_CLOSE_MISSING = unknown(
        "The broker has no previous close to compare the price with.",
        "Wait one session: a newly listed symbol has no previous close on its first day.",
    )
    QUOTE_STALE = unknown("The quote is too old.", "Wait for a newer quote; illiquid symbols are quoted rarely.")
    QUOTE_FROM_FUTURE = broken(
        "The quote's timestamp is later than the broker's clock.", "Run tradebot status and check the clocks."
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
        "Too much time passed between the strategy's answer and the pass's look at prices and positions.",
        "Nothing to do: the next pass asks again. If it happens often, a strategy is slow, or passes wait for each "
        "other; limits.max_candidate_age_s sets how long an answer holds.",
    )
    CLUSTER_TOO_SMALL = idle(
        "Too few alerts point the same way within the cluster window.",
        "Nothing to do: the symbol is scored again in the next pass.",
        Unit.ALERTS,
    )
    STRATEGY_DECLINED = idle(
        "The strategy looked at the symbol and declined it by its own rule.",
        "Nothing to do; the value it observed is shown beside the reason.",
    )
    RANKED_TOO_FEW = unknown(
        "The strategy compares symbols with each other, and too few of them had their bars. It keeps what it holds.",
        "Nothing to do: the next pass asks again while its slot is due. tradebot bars check shows what is missing; "
        "strategies.NAME.min_ranked says how many symbols it takes.",
        Unit.SYMBOLS,
    )


class WantReasons:
    """Of strategies and their wants."""

    STRATEGY_FAILED = broken(
        "A plug-in strategy raised an error, or its process ended. It sits out this pass; the others continue.",
        "Fix the plug-in (tradebot strategy test NAME asks it again), or set it to null if another strategy is in use.",
    )
    STRATEGY_TIMEOUT = broken(
        "A plug-in strategy didn't answer in time and was stopped. It sits out this pass; the others continue.",
        "Fix the plug-in, or raise plugins.timeout_s (at most 600), then run tradebot config accept.",
        Unit.SECONDS,
    )
    STRATEGY_INVALID = broken(
        "A strategy returned something that isn't a valid want. All its wants in this pass are refused; the other "
        "strategies continue.",
        "Fix the plug-in; the problem is shown beside the reason, and tradebot strategy test NAME asks it again.",
    )
    STRATEGY_TOO_MANY = broken(
        "A strategy returned more wants than there are symbols. All of them are refused in this pass; the other "
        "strategies continue.",
        "Fix the plug-in: it may return at most one want per symbol that it sees or holds.",
        Unit.CANDIDATES,
    )
    TARGET_REACHED = idle(
        "The strategy holds what it wants to hold, or so close to it that a trade isn't worth its cost.",
        "Nothing to do; limits.target_tolerance_fraction sets how close is close enough.",
    )
    OUTSIDE_UNIVERSE = idle(
        "The strategy wants more of a symbol that it holds, but the symbol isn't in its universe anymore.",
        "Add the symbol to universe and to strategies.NAME.universe again, or let the strategy close the position.",
    )
    ALREADY_CLOSED = idle(
        "The strategy wants to close a position that it no longer holds: it was closed since the strategy last saw it.",
        "Nothing to do; the position is closed.",
    )
    ALREADY_POSITIONED = idle("The strategy already holds this symbol.", "Nothing to do; exits manage it.")
    FOREIGN_POSITION = blocked(
        "The account holds this symbol, but the bot didn't open the position.", "Trade it by hand, or leave it alone."
    )
    OTHER_CONTRACT = blocked(
        "The account holds or orders another contract of the same coin, and each coin is traded once.",
        "Close the other contract, or wait until it has ended.",
    )
    OPPOSITE_SIDE = idle(
        "Another strategy holds this symbol on the opposite side, or has an order for it there.",
        "Wait until its position is closed, or give the two strategies different symbols: strategies.NAME.universe.",
    )
    POSITION_GONE = broken(
        "The books hold a position that the broker doesn't.",
        "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN",
    )
    POSITION_UNPROVEN = broken(
        "The broker's list of positions differs from the books, and the broker didn't confirm this position when "
        "asked about it directly. No exit is sent, and a working exit is left alone. What a person wants closed is "
        "closed where that can't open a position: orders can only reduce, or a stop that rests holds the shares.",
        "Look at the position at the broker, then run tradebot reconcile. The next pass asks again.",
    )
    SPLIT_UNPROVEN = unknown(
        "The broker holds a multiple of what the books hold. It may be a split, so prices and the entry price may not "
        "be comparable.",
        "Run tradebot reconcile, read the findings, then run tradebot reconcile --apply PLAN",
        Unit.NONE,
    )
    EXIT_WORKING = idle(
        "An exit is already at work, at a price at which it can fill now.",
        "Wait for it to fill; tradebot orders shows it.",
    )
    ORDER_WORKING = idle("An order on this symbol is still working.", "Wait for it to fill or to be canceled.")
    ORDER_LEFT_OUT = blocked(
        "The broker's list of open orders is missing one of our orders on this symbol, and nothing proves that the "
        "order has ended.",
        "Nothing to do: each pass asks the broker for the order by its id. tradebot reconcile names it.",
    )
    INTENT_UNRESOLVED = blocked(
        "We don't know what happened to an earlier order on this symbol.",
        "Run tradebot reconcile to look it up by its id.",
    )


class HaltReasons:
    """Of halts."""

    REJECT_STORM = blocked(
        "The broker refused too many orders within the window.",
        "Read the broker's messages: tradebot orders --all. The cause clears when the window has passed; then run "
        "tradebot unhalt.",
    )
    UNKNOWN_STORM = unknown(
        "Too many orders sent within the window still have no answer.",
        "Run tradebot reconcile to look them up by their ids, then run tradebot unhalt.",
    )
    SECOND_WRITER = broken(
        "While these books were in use, the account received an order that carries our mark but isn't in them, or a "
        "different order under one of our ids. Another copy of the bot is running, or an older copy of the folder was "
        "put back.",
        "Stop the other copy, if there is one. Take a position over with tradebot adopt SYMBOL --manage, then run "
        "tradebot unhalt.",
        Unit.ORDERS,
    )
    BOOKS_OLD = broken(
        "The account holds earlier orders that carry our mark but aren't in these books: an older copy of the state "
        "folder was put back, or the books were started over.",
        "tradebot reconcile names the positions; reconcile --apply PLAN takes them over; then run tradebot unhalt.",
    )
    VENUE_DRIFT = broken(
        "Too many of the broker's position and order rows can't be read: its replies have a format we don't know.",
        "tradebot events names the fields. Get a version of tradebot that knows them, then run tradebot unhalt.",
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
"""Reasons that strategies give, of learned policies and of setups."""
