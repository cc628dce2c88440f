"""Every reason code once, with its cause, its meaning and its remedy. Documents and tests read this table."""

from tradebot.model.order_reasons import ORDER_REASONS
from tradebot.model.reason_codes import Cause, Reason, ReasonRow
from tradebot.model.reason_codes import row as _row
from tradebot.model.units import Unit

__all__ = ["REASONS", "Cause", "Reason", "ReasonRow"]


_APPROVE = "tradebot config check says whether it fits the other limits, tradebot config accept approves it."
_SIZE_LIMIT = f"Wait for positions to close, or raise the limit: {_APPROVE}"

REASONS: dict[Reason, ReasonRow] = {
    Reason.CUT_SHORT: _row(
        Cause.BROKEN,
        "The pass began and did not end: it was killed, or is at work now. What it promised stands in the ledger.",
        "Run the verb again: the same slot goes on, and nothing is sent twice.",
    ),
    Reason.VENUE_UNREACHABLE: _row(
        Cause.BROKEN, "The venue or its data did not answer.", "tradebot doctor, then run the verb again later"
    ),
    Reason.KEYS_REFUSED: _row(Cause.BROKEN, "The venue refused the keys.", "Fix the keys, then: tradebot doctor"),
    Reason.PASS_FAILED: _row(
        Cause.BROKEN, "The pass ended in an error.", "Fix what the error names, then run the verb again."
    ),
    Reason.MARKET_CLOSED: _row(
        Cause.IDLE,
        "The session is closed.",
        "Wait for the next open; on the sandbox: tradebot exchange tick next_open",
    ),
    Reason.SLOT_TAKEN: _row(
        Cause.IDLE,
        "This slot of the timetable was run already.",
        "Wait for the next slot (sandbox: tradebot exchange tick 5m), or use --force-slot.",
    ),
    Reason.OUTSIDE_TIMETABLE: _row(
        Cause.IDLE,
        "The timetable has no slot for this job at this time.",
        "Wait for its next slot, or use --force-slot; the hours stand under timetable: in the configuration.",
    ),
    Reason.SLOT_MISSED: _row(
        Cause.BROKEN,
        "Nobody was there in time for this slot, and an entry is never caught up.",
        "Nothing to do; if it comes often, see why serve was down or slow: tradebot events",
        Unit.SECONDS,
    ),
    Reason.CALENDAR_DISAGREES: _row(
        Cause.BROKEN,
        "The venue's clock and our calendar disagree about the session.",
        "Compare tradebot status with the venue's calendar; entries stay shut until they agree.",
    ),
    Reason.CLOCKS_DISAGREE: _row(
        Cause.BROKEN,
        "The venue's clock and this machine's are too far apart to trust either: no entries, no exits by time. "
        "Exits by price go on.",
        "tradebot doctor compares them. Set this machine's clock (timedatectl set-ntp true), or wait for the venue's.",
        Unit.SECONDS,
    ),
    Reason.STATE_ON_NETWORK: _row(
        Cause.BLOCKED,
        "The state folder lies on a network file system (WSL's /mnt/c is one): its locks keep no other machine out.",
        "Stop tradebot, move the folder to a disk of this machine, then tradebot live status --state-dir NEW.",
    ),
    Reason.ORDER_GATE_CLOSED: _row(
        Cause.BLOCKED,
        "ALLOW_ORDERS, ENABLE_ORDER_EXEC, DRY_RUN or LIVE_TRADING_ACK keeps every order back, exits too.",
        "tradebot live status names it; set or unset it in the environment or in .env.",
    ),
    Reason.LIVE_MODE_UNSAID: _row(
        Cause.BLOCKED,
        "No order goes to real money unless the configuration file itself says so.",
        "Write mode: live into tradebot.yaml in the state folder, if you mean it; then tradebot live status.",
    ),
    Reason.LIVE_ACCOUNT_UNSAID: _row(
        Cause.BLOCKED,
        "The environment does not name the account whose real money may be traded.",
        "Set TRADEBOT_LIVE to the account number's last four characters, if you mean it; then tradebot live status.",
    ),
    Reason.LIVE_NOT_ARMED: _row(
        Cause.BLOCKED,
        "Real money is not armed: nothing is sent, exits included.",
        "tradebot live status, then tradebot live arm in a terminal",
    ),
    Reason.LIVE_ARMING_EXPIRED: _row(
        Cause.BLOCKED,
        "The sessions for which real money was armed are over: entries are closed, exits go on.",
        "tradebot live arm in a terminal",
    ),
    Reason.SHADOW_LIFTED: _row(
        Cause.BLOCKED,
        "The bot was accepted in shadow and is not in it any more: nothing is sent, exits included.",
        "Set shadow: true again, or approve trading: tradebot config accept",
    ),
    Reason.CONFIG_LOOSENED: _row(
        Cause.BLOCKED,
        "A setting is looser than the one that was accepted: entries are closed, exits go on.",
        "tradebot config accept shows each one, or set it back. serve keeps what it started with: restart it after.",
    ),
    Reason.CONFIG_NOT_ACCEPTED: _row(
        Cause.BLOCKED,
        "Nobody has accepted a configuration for these books: entries are closed, exits go on.",
        "tradebot config accept",
    ),
    Reason.CONFIG_UNREADABLE: _row(
        Cause.BROKEN,
        "The configuration can't be read: entries are closed, and exits go by the accepted one.",
        "tradebot config check says what is wrong; fix it. serve keeps what it started with: restart it after.",
    ),
    Reason.DRY_RUN: _row(Cause.IDLE, "A dry run sends nothing.", "Run the verb without --dry-run."),
    Reason.SHADOW: _row(
        Cause.IDLE,
        "The bot is in shadow: this order was decided and recorded, and is not sent.",
        "Nothing to do; to send orders, set shadow: false in the configuration, then tradebot config accept.",
    ),
    Reason.ACCOUNT_BLOCKED: _row(
        Cause.BLOCKED,
        "The venue has blocked the account.",
        "Ask the broker; the flags are in tradebot status.",
    ),
    Reason.HALTED: _row(
        Cause.BLOCKED,
        "Trading is halted: only orders that reduce risk go out.",
        "tradebot status, then tradebot unhalt",
    ),
    Reason.STATE_UNREADABLE: _row(
        Cause.BROKEN,
        "The trading state cannot be read, so it counts as REDUCE_ONLY.",
        "See docs/RUNBOOK.md, damaged state; then tradebot unhalt.",
    ),
    Reason.PASS_FAULT: _row(
        Cause.BROKEN,
        "A pass ended in a fault of the bot itself, a gate's among them, and halted it.",
        "tradebot --debug VERB shows the fault; report it, then tradebot unhalt",
    ),
    Reason.NOT_RECONCILED: _row(
        Cause.BLOCKED, "The books were never compared with the broker's.", "tradebot reconcile"
    ),
    Reason.RECONCILE_STALE: _row(
        Cause.BLOCKED, "The last comparison with the broker is too old.", "tradebot reconcile"
    ),
    Reason.RECONCILE_FROM_FUTURE: _row(
        Cause.BROKEN, "The last comparison is dated later than the venue's clock.", "tradebot reconcile"
    ),
    Reason.RECONCILE_FINDINGS: _row(
        Cause.BLOCKED,
        "The books and the broker differ.",
        "tradebot reconcile, read the findings, then tradebot reconcile --apply PLAN",
        Unit.FINDINGS,
    ),
    Reason.VIEW_INCOMPLETE: _row(
        Cause.BROKEN,
        "The venue told of a position or an order that cannot be read, so the book may be larger than it looks.",
        "Read tradebot events; look at the account at the venue.",
        Unit.ROWS,
    ),
    Reason.VIEW_UNSTEADY: _row(
        Cause.UNKNOWN,
        "Our own orders changed during each reading of the account, so positions and orders may not belong together.",
        "Nothing to do: the next pass reads again. Exits go on.",
    ),
    Reason.POSITIONS_DIFFER: _row(
        Cause.BLOCKED,
        "The broker's positions are not what the books hold, and no fill on its way explains it. Exits go on.",
        "tradebot reconcile shows each difference; if the broker corrects itself, the next pass opens entries again.",
    ),
    Reason.FLOW_CONTRACT_FAILED: _row(
        Cause.BROKEN,
        "Too many rows of the flow answer belong to other tickers, or cannot be read.",
        "tradebot fetch-flow --json shows the rows; ask the source, entries stay shut meanwhile.",
    ),
    Reason.FLOW_MISSING: _row(Cause.BROKEN, "No flow was fetched for this symbol.", "tradebot fetch-flow"),
    Reason.FLOW_STALE: _row(Cause.BROKEN, "The symbol's flow was fetched too long ago.", "tradebot fetch-flow"),
    Reason.FLOW_FROM_FUTURE: _row(
        Cause.BROKEN, "The symbol's flow is dated later than the venue's clock.", "tradebot fetch-flow"
    ),
    Reason.QUOTE_MISSING: _row(
        Cause.UNKNOWN,
        "The venue gave no usable quote.",
        "Look at the symbol at the venue; nothing is bought blind.",
    ),
    Reason.PREVIOUS_CLOSE_MISSING: _row(
        Cause.UNKNOWN,
        "The venue knows no previous close to measure the price against.",
        "Wait a session: a name's first day has none.",
    ),
    Reason.QUOTE_STALE: _row(
        Cause.UNKNOWN, "The quote is too old.", "Wait for a newer quote; illiquid names quote seldom."
    ),
    Reason.QUOTE_FROM_FUTURE: _row(
        Cause.BROKEN,
        "The quote is stamped later than the venue's clock.",
        "Check the clocks: tradebot status",
    ),
    Reason.NO_DIRECTION: _row(
        Cause.IDLE,
        "The components cancel out or are all absent: no side to take.",
        "Nothing to do; wait for flow.",
        Unit.NONE,
    ),
    Reason.LONG_ONLY: _row(
        Cause.IDLE,
        "The signal is bearish and the strategy may only buy.",
        "Set strategies.flow.long_only: false to allow shorts, then tradebot config accept.",
    ),
    Reason.CANDIDATE_STALE: _row(
        Cause.IDLE,
        "The candidate's own time is too long ago.",
        "Send candidates sooner; limits.max_flow_age_s says how old a signal may be.",
        Unit.SECONDS,
    ),
    Reason.CLUSTER_TOO_SMALL: _row(
        Cause.IDLE,
        "Too few alerts point the same way within the cluster window.",
        "Nothing to do; or lower strategies.flow.min_cluster (at least 1), then tradebot config accept.",
        Unit.ALERTS,
    ),
    Reason.STRATEGY_DECLINED: _row(
        Cause.IDLE,
        "The strategy looked at the symbol and declined it by a rule of its own.",
        "Nothing to do; what it observed stands beside the reason.",
    ),
    Reason.STRATEGY_FAILED: _row(
        Cause.BROKEN,
        "A plug-in strategy raised an error, or its process ended; it loses this cycle, the others go on.",
        "Fix the plug-in (tradebot strategy list asks it again), or set it to null if another strategy is in use.",
    ),
    Reason.STRATEGY_TIMEOUT: _row(
        Cause.BROKEN,
        "A plug-in strategy did not answer in time and was ended; it loses this cycle, the others go on.",
        "Fix the plug-in, or raise plugins.timeout_s (at most 600), then tradebot config accept.",
        Unit.SECONDS,
    ),
    Reason.STRATEGY_INVALID: _row(
        Cause.BROKEN,
        "A strategy answered what cannot be a candidate; all its answers of this cycle are refused, the others' go on.",
        "Fix the plug-in: what is wrong stands beside the reason.",
    ),
    Reason.STRATEGY_TOO_MANY: _row(
        Cause.BROKEN,
        "A strategy proposed more candidates than there are symbols; all of this cycle are refused, the others' go on.",
        "Fix the plug-in: at most one candidate for each symbol of the universe.",
        Unit.CANDIDATES,
    ),
    Reason.ALREADY_POSITIONED: _row(Cause.IDLE, "The symbol is already held.", "Nothing to do; exits manage it."),
    Reason.FOREIGN_POSITION: _row(
        Cause.BLOCKED,
        "The account holds this symbol and we did not buy it.",
        "Trade it by hand, or leave it alone.",
    ),
    Reason.POSITION_GONE: _row(
        Cause.BROKEN,
        "The books hold a position that the broker does not hold.",
        "tradebot reconcile, read the findings, then tradebot reconcile --apply PLAN",
    ),
    Reason.POSITION_UNPROVEN: _row(
        Cause.BROKEN,
        "The broker's list differs from the books, and asked directly the broker did not confirm this position: no exit"
        " is sent, and one that is working is left alone.",
        "Look at the position at the broker, then tradebot reconcile. The next pass asks again.",
    ),
    Reason.SPLIT_UNPROVEN: _row(
        Cause.UNKNOWN,
        "The broker holds a multiple of what the books hold: prices may be of other shares than the entry.",
        "tradebot reconcile, read the findings, then tradebot reconcile --apply PLAN",
        Unit.NONE,
    ),
    Reason.ORDER_WORKING: _row(
        Cause.IDLE, "An order on this symbol is still working.", "Wait for it to fill or to be cancelled."
    ),
    Reason.ORDER_LEFT_OUT: _row(
        Cause.BLOCKED,
        "The broker's list of open orders leaves out an order of ours on this symbol that is not proven to be over.",
        "Nothing to do: each pass asks the broker for it by its id. tradebot reconcile names it.",
    ),
    Reason.INTENT_UNRESOLVED: _row(
        Cause.BLOCKED,
        "An earlier order on this symbol has an unknown fate.",
        "tradebot reconcile looks it up by its id.",
    ),
    Reason.SCORE_BELOW_MIN: _row(
        Cause.IDLE,
        "The score is too weak.",
        "Nothing to do; or lower limits.min_score (above 0) after measuring it, then tradebot config accept.",
    ),
    Reason.COVERAGE_BELOW_MIN: _row(
        Cause.BROKEN,
        "Too much of the score's data is absent.",
        "tradebot fetch-flow --json names the endpoints that gave nothing.",
    ),
    Reason.SIZE_BELOW_ONE: _row(
        Cause.IDLE,
        "One share costs more than an order may.",
        f"Leave the name out of universe:, or raise limits.max_order_fraction: {_APPROVE}",
    ),
    Reason.PRICE_MOVED: _row(
        Cause.BLOCKED,
        "The price is too far from the previous close.",
        f"Look at the news; or raise limits.price_collar_fraction: {_APPROVE}",
    ),
    Reason.SPREAD_TOO_WIDE: _row(
        Cause.IDLE, "The spread would cost too much.", f"Wait; or raise limits.max_spread_fraction: {_APPROVE}"
    ),
    Reason.MAX_OPEN_POSITIONS: _row(Cause.IDLE, "The book is full.", _SIZE_LIMIT),
    Reason.MAX_NEW_ENTRIES: _row(Cause.IDLE, "This cycle has opened all it may.", "Wait for the next cycle."),
    Reason.MAX_SESSION_ENTRIES: _row(
        Cause.IDLE, "This session has opened all it may.", "Wait for the next session; exits go on."
    ),
    Reason.MAX_SYMBOL_ENTRIES: _row(
        Cause.BLOCKED,
        "The strategy has entered this symbol on this side as often as it may in one session.",
        "Wait for the next session; tradebot orders --all shows what was done again and again.",
    ),
    Reason.ORDER_RATE: _row(
        Cause.BLOCKED,
        "Too many entries were sent within a second or a minute.",
        "Nothing to do: the next slot goes on. If it comes often, see what proposes so much: tradebot orders --all",
    ),
    Reason.ORDER_NOTIONAL_ABOVE_MAX: _row(Cause.BLOCKED, "The order is larger than one order may be.", _SIZE_LIMIT),
    Reason.ORDER_NOTIONAL_BELOW_MIN: _row(
        Cause.IDLE,
        "The order is too small to be worth sending.",
        "Lower limits.min_order_notional_usd (above 0), then tradebot config accept.",
    ),
    Reason.SYMBOL_NOTIONAL_ABOVE_MAX: _row(Cause.IDLE, "The symbol would take too much of the equity.", _SIZE_LIMIT),
    Reason.SECTOR_NOTIONAL_ABOVE_MAX: _row(Cause.IDLE, "The sector would take too much of the equity.", _SIZE_LIMIT),
    Reason.SECTOR_UNKNOWN: _row(
        Cause.BLOCKED,
        "The symbol has no sector in the configuration.",
        "Name its sector under sectors: in your configuration, then tradebot config accept.",
    ),
    Reason.GROSS_NOTIONAL_ABOVE_MAX: _row(Cause.IDLE, "The whole book would be too large.", _SIZE_LIMIT),
    Reason.BUYING_POWER_SHORT: _row(
        Cause.BLOCKED, "The account's buying power does not cover the order.", "Close positions or add cash."
    ),
    Reason.EQUITY_UNKNOWN: _row(
        Cause.UNKNOWN,
        "The account's equity is absent or not positive.",
        "Look at the account at the venue.",
        Unit.USD,
        limit=Unit.SHARE_OF_WHOLE,
    ),
    Reason.EQUITY_UNEXPLAINED: _row(
        Cause.UNKNOWN,
        "The equity that the venue states, now or for the last session, is far from what its cash and positions or the "
        "highest equity seen bear out.",
        "Compare equity, cash and positions at the venue; entries stay shut until they agree.",
        Unit.USD,
    ),
    Reason.DAILY_LOSS_REACHED: _row(
        Cause.BLOCKED,
        "The day's loss has reached its limit.",
        "Entries open again once the day has lost less, at the latest next session; exits go on.",
    ),
    Reason.DAILY_LOSS_HALT: _row(
        Cause.BLOCKED,
        "The day's loss went beyond what stops and limits allow for, and halted the bot.",
        "Look at what was lost: tradebot fills. The cause ends with the session; then tradebot unhalt.",
    ),
    Reason.DRAWDOWN_REACHED: _row(
        Cause.BLOCKED,
        "Equity has fallen too far below its highest.",
        "Decide whether the bot is to go on; money taken out of the account counts as a loss too.",
    ),
    Reason.REJECT_STORM: _row(
        Cause.BLOCKED,
        "The venue refused too many orders within the window.",
        "Read its words: tradebot orders --all. The cause ends with the window; then tradebot unhalt.",
    ),
    Reason.UNKNOWN_STORM: _row(
        Cause.UNKNOWN,
        "Too many orders of the window are still without an answer.",
        "tradebot reconcile looks them up by their ids; then tradebot unhalt",
    ),
    Reason.SECOND_WRITER: _row(
        Cause.BROKEN,
        "The account holds an order under our mark that came while these books were at work and that they do not know,"
        " or another one under our id: another copy of the bot runs, or an older copy of the folder was put back.",
        "Stop the other copy, if there is one; tradebot adopt SYMBOL --manage takes a position over; tradebot unhalt.",
        Unit.ORDERS,
    ),
    Reason.BOOKS_OLD: _row(
        Cause.BROKEN,
        "The account holds orders under our mark from before that these books do not know: an older copy of the state"
        " folder was put back, or the books were made anew.",
        "tradebot reconcile names the positions; reconcile --apply PLAN takes them over; then tradebot unhalt.",
    ),
    Reason.VENUE_DRIFT: _row(
        Cause.BROKEN,
        "Too many of the venue's rows of positions and orders cannot be read: its answers are not what we know.",
        "tradebot events names the fields; get a version that knows them, then tradebot unhalt.",
    ),
    **ORDER_REASONS,
}
