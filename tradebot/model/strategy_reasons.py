"""Reasons about strategies, what they need and what they want. `reasons` merges them into the one table."""

from tradebot.model.reason_codes import Reason, ReasonRow, blocked, broken, idle, unknown
from tradebot.model.units import Unit

STRATEGY_REASONS: dict[Reason, ReasonRow] = {
    Reason.NO_DIRECTION: idle(
        "The score's components cancel out or are all absent, so there is no side to take.",
        "Nothing to do; wait for flow.",
        Unit.NONE,
    ),
    Reason.FAMILIES_TOO_FEW: idle(
        "Too few independent kinds of data agree with the score's direction.",
        "Nothing to do; or lower strategies.flow.min_families (at least 1), then run tradebot config accept.",
        Unit.FAMILIES,
    ),
    Reason.LONG_ONLY: idle(
        "The signal is bearish, and the strategy is only allowed to buy.",
        "Set strategies.flow.long_only: false to allow shorts, then run tradebot config accept.",
    ),
    Reason.CANDIDATE_STALE: idle(
        "The candidate's own timestamp is too old.",
        "Send candidates sooner; limits.max_flow_age_s sets how old a signal may be.",
        Unit.SECONDS,
    ),
    Reason.CANDIDATE_EXPIRED: blocked(
        "Too much time passed between the strategy's answer and the pass's look at prices and positions.",
        "Nothing to do: the next pass asks again. If it happens often, a strategy is slow, or passes wait for each "
        "other; limits.max_candidate_age_s sets how long an answer holds.",
    ),
    Reason.CLUSTER_TOO_SMALL: idle(
        "Too few alerts point the same way within the cluster window.",
        "Nothing to do; or lower strategies.flow.min_cluster (at least 1), then run tradebot config accept.",
        Unit.ALERTS,
    ),
    Reason.STRATEGY_DECLINED: idle(
        "The strategy looked at the symbol and declined it by its own rule.",
        "Nothing to do; the value it observed is shown beside the reason.",
    ),
    Reason.RANKED_TOO_FEW: unknown(
        "The strategy compares symbols with each other, and too few of them had their bars. It keeps what it holds.",
        "Nothing to do: the next pass asks again while its slot is due. tradebot bars check shows what is missing; "
        "strategies.NAME.min_ranked says how many symbols it takes.",
        Unit.SYMBOLS,
    ),
    Reason.BARS_MISSING: unknown(
        "The symbol has fewer closed bars than the strategy needs, so the strategy wasn't asked about it.",
        "Run tradebot bars check to see what is stored, or tradebot bars fetch to get more. A newly listed symbol has "
        "to wait.",
    ),
    Reason.BARS_STALE: unknown(
        "The symbol's newest bar is older than the strategy allows, so the strategy wasn't asked about it.",
        "Nothing to do if the symbol is halted or rarely traded. Otherwise run tradebot bars fetch, and check whether "
        "the feed of your venue's prices fits your data plan.",
        Unit.SECONDS,
    ),
    Reason.BARS_UNAVAILABLE: broken(
        "The bars that the strategy needs couldn't be fetched, so it wasn't asked. The other strategies continue.",
        "Nothing to do: the next pass asks again while its slot is due. tradebot bars fetch shows the error.",
        Unit.BARS,
    ),
    Reason.BARS_TOO_MANY: broken(
        "The strategy needs more bars at once than it may have, so it wasn't asked.",
        "Let it need fewer bars, a longer timeframe, or fewer symbols: strategies.NAME.universe.",
        Unit.BARS,
    ),
    Reason.STRATEGY_FAILED: broken(
        "A plug-in strategy raised an error, or its process ended. It sits out this pass; the others continue.",
        "Fix the plug-in (tradebot strategy test NAME asks it again), or set it to null if another strategy is in use.",
    ),
    Reason.STRATEGY_TIMEOUT: broken(
        "A plug-in strategy didn't answer in time and was stopped. It sits out this pass; the others continue.",
        "Fix the plug-in, or raise plugins.timeout_s (at most 600), then run tradebot config accept.",
        Unit.SECONDS,
    ),
    Reason.STRATEGY_INVALID: broken(
        "A strategy returned something that isn't a valid want. All its wants in this pass are refused; the other "
        "strategies continue.",
        "Fix the plug-in; the problem is shown beside the reason, and tradebot strategy test NAME asks it again.",
    ),
    Reason.STRATEGY_TOO_MANY: broken(
        "A strategy returned more wants than there are symbols. All of them are refused in this pass; the other "
        "strategies continue.",
        "Fix the plug-in: it may return at most one want per symbol that it sees or holds.",
        Unit.CANDIDATES,
    ),
    Reason.TARGET_REACHED: idle(
        "The strategy holds what it wants to hold, or so close to it that a trade isn't worth its cost.",
        "Nothing to do; limits.target_tolerance_fraction sets how close is close enough.",
    ),
    Reason.OUTSIDE_UNIVERSE: idle(
        "The strategy wants more of a symbol that it holds, but the symbol isn't in its universe anymore.",
        "Add the symbol to universe and to strategies.NAME.universe again, or let the strategy close the position.",
    ),
    Reason.ALREADY_CLOSED: idle(
        "The strategy wants to close a position that it no longer holds: it was closed since the strategy last saw it.",
        "Nothing to do; the position is closed.",
    ),
}
