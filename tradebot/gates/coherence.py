"""Check that limits fit together. A configuration whose limits could trip or block each other doesn't load."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter

from msgspec import Struct

from tradebot.model.costs import CostModel
from tradebot.model.limits import (
    COUNTS,
    MOST_LENT,
    OF_EQUITY,
    OF_MARGIN,
    OF_SHOCKS,
    OPTIONAL_OF_EQUITY,
    SIZES,
    ExitRules,
    HaltRules,
    Limits,
)
from tradebot.model.order import Execution
from tradebot.model.promotion import PromotionRules, Rung
from tradebot.model.sentences import format_yaml_scalar
from tradebot.model.venue import Settlement


class Trader(Struct, frozen=True):
    """A strategy's possible loss: its share of the account's equity, its effective limits, and its stop.

    `stop_fraction` is how far the price can move against the entry before the strategy's exits close the position; None
    if no exit is a stop. An exit order's limit is at most `exit_offset_fraction` beyond the best bid or ask.
    """

    name: str
    allotment_fraction: Decimal
    limits: Limits
    stop_fraction: Decimal | None
    exit_offset_fraction: Decimal

    @property
    def full_book(self) -> Decimal:
        """Return the strategy's largest exposure, as a fraction of the account's equity."""
        return self.allotment_fraction * self.limits.max_gross_fraction

    @property
    def loss_per_usd(self) -> Decimal:
        """Return the loss per dollar of exposure if the stop is hit at the widest spread and the largest offset.

        A stop that is closer than the entry's limit offset may be hit as soon as the entry fills, so the larger of the
        two counts. Without a stop, the loss isn't bounded, and the result is 0.
        """
        if self.stop_fraction is None:
            return Decimal(0)
        stop = max(self.stop_fraction, self.limits.limit_offset_fraction)
        return stop + self.limits.max_spread_fraction + self.exit_offset_fraction


def contradictions(limits: Limits, where: str = "limits") -> Iterator[str]:
    """Yield a scenario for each pair of limits that work against each other, showing how they do.

    `where` says whose limits they are.
    """
    for scenario in (*_check_nesting(limits), *_options(limits)):
        yield scenario if where == "limits" else f"{where}: {scenario}"


def exit_contradictions(exits: ExitRules) -> Iterator[str]:
    """Yield a scenario that shows how the exit rules work against each other, if they do."""
    if exits.trailing_arm_fraction >= exits.profit_target_fraction:
        yield (
            f"trailing_arm_fraction {exits.trailing_arm_fraction} is not below profit_target_fraction "
            f"{exits.profit_target_fraction}: the target closes first, so the trailing stop could never act"
        )


def doubted_move(limits: Limits, nearest_stop: Decimal | None) -> Decimal:
    """Return how far a price may move between two passes before it is requested again, as a fraction.

    It is never more than the nearest stop of a position. Otherwise one wrong quote could become the position's best
    price, and the next correct quote would then trigger the stop.
    """
    jump = limits.price_jump_fraction
    return jump if nearest_stop is None else min(jump, nearest_stop)


def _check_nesting(limits: Limits) -> Iterator[str]:
    """Check that small limits fit into large ones: a pass's entries into a second's, and so on."""
    for small, large, why in (
        *((*sizes, "an order that passes {0} would always be refused by {1}") for sizes in SIZES),
        *((*counts, "{1} would stop a bot that sends as many as {0} allows") for counts in pairwise(COUNTS)),
        ("max_symbol_entries", "max_session_entries", "no symbol could ever reach its own limit"),
        ("max_new_entries", "max_open_positions", "one pass could never open as many as it is allowed to"),
        ("max_order_contracts", "max_contracts", "an order that passes {0} would always be refused by {1}"),
    ):
        inner, outer = getattr(limits, small), getattr(limits, large)
        if None not in (inner, outer) and inner > outer:
            yield f"{small} {inner} is above {large} {outer}: {why.format(small, large)}"
    if limits.min_order_notional_usd >= limits.max_order_notional_usd:
        yield (
            f"min_order_notional_usd {limits.min_order_notional_usd} is not below max_order_notional_usd "
            f"{limits.max_order_notional_usd}: every order would be too small or too large"
        )


def _options(limits: Limits) -> Iterator[str]:
    """Check optional limits against the limits that they rely on."""
    risk, loss = limits.max_risk_fraction, limits.max_daily_loss_fraction
    if risk is not None and risk > loss:
        yield (
            f"max_risk_fraction {risk} is above max_daily_loss_fraction {loss}: a single stop could block entries "
            "for the day"
        )
    concentration, order = limits.max_concentration, limits.max_order_fraction
    if concentration is not None and order**2 > concentration:
        yield (
            f"max_order_fraction {order} squared is above max_concentration {concentration}: the first order of that "
            "size would be refused"
        )
    if (limits.max_loss_streak is None) != (limits.loss_streak_wait_s is None):
        yield (
            f"max_loss_streak {limits.max_loss_streak} and loss_streak_wait_s {limits.loss_streak_wait_s}: one of them "
            "is off, so a streak would never block entries, or would block them forever"
        )
    shocks = [name for name in OF_SHOCKS if name != "shock_wait_s" and getattr(limits, name) is not None]
    moves = [name for name in shocks if name != "max_shocked_symbols"]
    if (limits.shock_wait_s is not None) != bool(moves) or (shocks and not moves):
        yield (
            f"shock_wait_s {limits.shock_wait_s} and {', '.join(shocks) or 'no limit on price moves'}: one of "
            "them is off, so nothing would ever make entries wait"
        )
    if limits.loss_cooldown_s is not None and limits.loss_cooldown_s <= limits.cooldown_s:
        yield (
            f"loss_cooldown_s {limits.loss_cooldown_s} is not above cooldown_s {limits.cooldown_s}: the wait after "
            "a loss would be no longer than the wait after any fill"
        )


OF_COSTS = ("max_cost_fraction", "max_cost_of_stop_fraction", "max_funding_fraction", "min_edge_ratio")
"""Limits that depend on the cost of a trade."""


def cost_contradictions(limits: Limits, costs: CostModel | None, execution: Execution, where: str) -> Iterator[str]:
    """Yield each scenario in which a limit on costs refuses every entry, or could never refuse one."""
    if costs is None:
        for name in OF_COSTS:
            if (value := getattr(limits, name)) is not None:
                yield (
                    f"{where}: {name} is {value}, but no trading costs are assumed (costs is null): every entry "
                    "would be refused"
                )
        return
    most, funding = limits.max_cost_fraction, limits.max_funding_fraction
    trading = costs.trading(rests=execution.only_rests)
    if most is not None and trading > most:
        yield (
            f"{where}: fees and slippage of a round trip alone are {_plain(trading)}, more than max_cost_fraction "
            f"{most}: every entry would be refused"
        )
    if most is not None and funding is not None and funding > most:
        yield (
            f"{where}: max_funding_fraction {funding} is above max_cost_fraction {most}, which counts funding too: "
            "the limit on funding could never refuse an entry"
        )


def self_halting_scenarios(traders: Sequence[Trader], account: Limits, halts: HaltRules) -> Iterator[str]:
    """Yield each scenario in which a bot within all its limits would still halt itself, or block its own entries.

    If all stops of a full book are hit, it must lose less than `max_daily_loss_fraction`. Entries stay allowed until
    the day's loss reaches that limit, and a full book opened just before may then lose as much again as its stops
    allow. The sum must stay below the daily halt. The daily halt must in turn stay below the drawdown halt; otherwise
    one permitted day would trip a halt that no new day clears. If a strategy has no stop, its loss isn't bounded, so it
    is left out. The strategies' books together are never larger than the account's `max_gross_fraction`.
    """
    book = _worst_loss(traders, account.max_gross_fraction)
    closes = account.max_daily_loss_fraction
    if book >= closes:
        yield (
            f"{_full_books(traders)} {_together(traders, account)} {_plain(book)} of equity, not less than"
            f" max_daily_loss_fraction {closes}: a full book could block entries"
        )
    day = closes + book
    if day >= halts.daily_loss_fraction:
        yield (
            f"in a day that has lost just less than max_daily_loss_fraction {closes}, the bot may open a full"
            f" book, whose stops and spreads can lose {_plain(book)} more. That is {_plain(day)} of equity, not"
            f" less than halts.daily_loss_fraction {halts.daily_loss_fraction}: a full book could halt the bot"
        )
    if halts.daily_loss_fraction >= halts.drawdown_fraction:
        yield (
            f"a day that loses just less than halts.daily_loss_fraction {halts.daily_loss_fraction} doesn't"
            f" halt the bot, but it reaches halts.drawdown_fraction {halts.drawdown_fraction}: such a day would"
            " cause the drawdown halt, which doesn't end with the day"
        )
    yield from _own_days(traders, account)
    yield from _levels(book, account, halts)


def _own_days(traders: Sequence[Trader], account: Limits) -> Iterator[str]:
    """Check that a full book's loss fits into a strategy's own daily limit, if that is below the account's."""
    for trader in traders:
        book, closes = trader.limits.max_gross_fraction * trader.loss_per_usd, trader.limits.max_daily_loss_fraction
        if book >= closes < account.max_daily_loss_fraction:
            yield (
                f"strategies.{trader.name}: {_full_book(trader, alone=True)} loses {_plain(book)} of its"
                f" allotment, not less than its max_daily_loss_fraction {closes}: a full book could block its"
                " entries"
            )


def _levels(book: Decimal, account: Limits, halts: HaltRules) -> Iterator[str]:
    """Check that entries are blocked well before the bot halts, where both have a limit on the same figure."""
    fallen = account.max_drawdown_fraction
    if fallen is not None and fallen + book >= halts.drawdown_fraction:
        yield (
            f"if the bot opens a full book just before the drawdown reaches max_drawdown_fraction {fallen}, the"
            f" book can lose {_plain(book)} more. That is {_plain(fallen + book)} of equity, not less than"
            f" halts.drawdown_fraction {halts.drawdown_fraction}: a full book could halt the bot"
        )
    for name, most, halted in (
        ("positions", account.max_open_positions, halts.positions),
        ("symbol_fraction", account.max_symbol_fraction, halts.symbol_fraction),
    ):
        if halted is not None and most >= halted:
            yield (
                f"{'max_open_' if name == 'positions' else 'max_'}{name} {most} is not below halts.{name}"
                f" {halted}: a book within that limit could halt the bot"
            )
    floor, halted = account.min_equity_usd, halts.min_equity_usd
    if floor is not None and halted is not None and floor <= halted:
        yield (
            f"min_equity_usd {floor} is not above halts.min_equity_usd {halted}: falling equity would halt the bot "
            "before it blocks entries"
        )


def margin_contradictions(
    traders: Sequence[Trader], account: Limits, halts: HaltRules, settlement: Settlement
) -> Iterator[str]:
    """Yield each scenario in which margin limits have no effect, or let the broker liquidate before a stop acts.

    The limits must act in this order: first, too little free margin blocks entries; then the initial margin of the
    whole book does; then the bot halts; and only then does the broker liquidate. If all stops of a full book are hit,
    the remaining equity must exceed the margin that the book may use.
    """
    if settlement is Settlement.PAID:
        yield from _without_margin(account, halts)
        return
    free, most, halted = account.min_free_margin_fraction, account.max_margin_fraction, halts.margin_fraction
    if free is not None and most is not None and 1 - free > most:
        yield (
            f"min_free_margin_fraction {free} leaves {_plain(1 - free)} of equity for margin, more than "
            f"max_margin_fraction {most}: this limit could never block entries"
        )
    bound = _bound_on_margin(account)
    if bound and halted is not None and bound[1] >= halted:
        yield (
            f"a book may use {_plain(bound[1])} of equity as margin ({bound[0]}), not less than"
            f" halts.margin_fraction {halted}: a full book could halt the bot"
        )
    elif most is not None and halted is not None and most >= halted:
        yield (
            f"max_margin_fraction {most} is not below halts.margin_fraction {halted}: the bot could halt before "
            "this limit blocks entries"
        )
    maintenance_limit = halts.maintenance_fraction
    if bound and maintenance_limit is not None and bound[1] >= maintenance_limit:
        yield (
            f"{bound[0]} lets positions use {_plain(bound[1])} of equity as margin, all of which may be"
            f" maintenance margin. That is not less than halts.maintenance_fraction {maintenance_limit}: a full"
            " book could halt the bot"
        )
    for name, value in (("margin_fraction", halted), ("maintenance_fraction", maintenance_limit)):
        if value is not None and value >= 1:
            yield (
                f"halts.{name} {value} is not below 1, at which the broker liquidates: the broker would act"
                " before the bot"
            )
    yield from _liquidated_first(traders, account)


def _without_margin(account: Limits, halts: HaltRules) -> Iterator[str]:
    """Check the limits of an account that pays for purchases in full."""
    limits = {f"limits.{name}": getattr(account, name) for name in OF_MARGIN}
    latches = {f"halts.{name}": getattr(halts, name) for name in ("margin_fraction", "maintenance_fraction")}
    for name, value in {**limits, **latches}.items():
        if value is not None:
            yield (
                f"{name} {value} has no effect: this venue's accounts pay in full and use no margin, so it would "
                "never refuse or halt anything; set it to null"
            )
    for name in (*OF_EQUITY, *OPTIONAL_OF_EQUITY):
        value = getattr(account, name)
        if value is not None and value > MOST_LENT:
            yield (
                f"limits.{name} {value} is above {MOST_LENT}: no broker gives so much leverage to an account that "
                "pays its purchases in full"
            )


def _bound_on_margin(account: Limits) -> tuple[str, Decimal] | None:
    """Return the limit that bounds a book's margin, and the bound as a fraction of equity; None if no limit does."""
    free, most = account.min_free_margin_fraction, account.max_margin_fraction
    bounds = [(f"max_margin_fraction {most}", most)] if most is not None else []
    bounds += [(f"min_free_margin_fraction {free}", 1 - free)] if free is not None else []
    return min(bounds, key=itemgetter(1), default=None)


def _liquidated_first(traders: Sequence[Trader], account: Limits) -> Iterator[str]:
    """Check that stops act before the broker liquidates. A strategy without a stop promises nothing."""
    least, bound = account.min_liquidation_fraction, _bound_on_margin(account)
    for trader in traders:
        if least is not None and trader.loss_per_usd >= least:
            yield (
                f"strategies.{trader.name}: the broker may liquidate a position after a move of"
                f" min_liquidation_fraction {least}, but its stop acts only after a move of up to"
                f" {_plain(trader.loss_per_usd)} ({_stop(trader)}): the broker could liquidate the position"
                " before its stop acts"
            )
    book = _worst_loss(traders, account.max_gross_fraction)
    if bound and book and bound[1] + book >= 1:
        yield (
            f"{_full_books(traders)} {_together(traders, account)} {_plain(book)} of equity, and may use"
            f" {_plain(bound[1])} of it as margin ({bound[0]}). The rest of the equity doesn't cover that loss:"
            " the broker would cancel orders and liquidate before the last stop acts"
        )


def _worst_loss(traders: Sequence[Trader], wall: Decimal) -> Decimal:
    """Return what full books lose together if every stop is hit, as a fraction of the account's equity.

    If the account's limit leaves no room for all of them, those that lose most per dollar count first.
    """
    loss, room = Decimal(0), wall
    for trader in sorted(traders, key=lambda trader: trader.loss_per_usd, reverse=True):
        size = min(trader.full_book, room)
        loss, room = loss + size * trader.loss_per_usd, room - size
    return loss


def _full_books(traders: Sequence[Trader]) -> str:
    """Describe the full books of the strategies that have a stop."""
    stopped = (trader for trader in traders if trader.stop_fraction is not None)
    return "; ".join(_full_book(trader, alone=len(traders) == 1) for trader in stopped)


def _full_book(trader: Trader, *, alone: bool) -> str:
    size = f"max_gross_fraction {trader.limits.max_gross_fraction}"
    if not alone:
        size = f"{trader.name}: {size} of allotment_fraction {trader.allotment_fraction:.4g}"
    return f"a full book ({size}) whose stops are all hit ({_stop(trader)})"


def _stop(trader: Trader) -> str:
    """Describe how far the price moves before a position is closed at its stop."""
    limits, stop = trader.limits, f"stop_loss_fraction {trader.stop_fraction}"
    if trader.stop_fraction is not None and trader.stop_fraction < limits.limit_offset_fraction:
        stop = f"the entry's own limit_offset_fraction {limits.limit_offset_fraction}"
    spread = f"max_spread_fraction {limits.max_spread_fraction}"
    return f"{stop} + {spread} + limit_offset_fraction {trader.exit_offset_fraction}"


def _together(traders: Sequence[Trader], account: Limits) -> str:
    verb = "loses" if sum(trader.stop_fraction is not None for trader in traders) == 1 else "together lose"
    if sum(trader.full_book for trader in traders) <= account.max_gross_fraction:
        return verb
    return f"within the account's max_gross_fraction {account.max_gross_fraction} {verb}"


def _plain(value: Decimal) -> str:
    return f"{value.normalize():f}"


FEWEST_FOR_A_MEAN = 60
"""The fewest sessions for the interval of a mean. It is asymptotic, so it only holds for long samples."""


def promotion_contradictions(rules: PromotionRules) -> Iterator[str]:
    """Yield a sentence for each condition that is weaker than on the rung below, and for intervals over too few
    sessions.
    """
    steps = [(rung, rules.of(rung)) for rung in Rung if rung is not Rung.CANDIDATE]
    for (_, below), (rung, step) in pairwise(steps):
        for name in ("sessions", "trades", "mean_above", "deflated_sharpe", "wins_low", "effect", "sharpe_gain_low"):
            least, required = getattr(below, name), getattr(step, name)
            if least is not None and (required is None or required < least):
                yield _requires_less(f"{rung}.{name}", required, least)
        for name in (
            "sessions",
            "trades",
            "seeds",
            "seeds_positive",
            "deflated_sharpe",
            "sharpe_low",
            "replay_sessions",
        ):
            least, required = getattr(below.policy, name), getattr(step.policy, name)
            if least is not None and (required is None or required < least):
                yield _requires_less(f"{rung}.policy.{name}", required, least)
    yield from rules.splits.contradictions()
    for rung, step in steps:
        if step.mean_above is not None and (step.sessions or 0) < FEWEST_FOR_A_MEAN:
            yield (
                f"promotion.{rung}.mean_above needs sessions to be at least {FEWEST_FOR_A_MEAN}, not "
                f"{format_yaml_scalar(step.sessions)}: with fewer, its interval is too narrow"
            )


def _requires_less(name: str, required: object, least: object) -> str:
    return (
        f"promotion.{name} {format_yaml_scalar(required)} requires less than the rung below it ({least}), which "
        "every strategy there has met already"
    )
