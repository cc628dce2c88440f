"""The table of all limits in docs/internals/LIMITS.md: their values and units, what asks them, and what clears them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tests.kit.values import NOW, OPTIONS, margined
from tradebot.app.settings import Settings, load, shipped
from tradebot.gates import book as limits_of
from tradebot.gates import margin as margin_of
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.desk import Entered
from tradebot.model.limits import OF_EQUITY, OPTIONAL_OF_EQUITY
from tradebot.model.reason_codes import Unit

HALTS = "the bot halts"
NEXT_SESSION, NEXT_PASS, CLOSING = "the next session", "the next pass", "closing positions"
NEW_DATA, QUIET = "newer data", "time"
BY_ENDS = {
    "_s": "s",
    "_ms": "ms",
    "_usd": "USD",
    "_fraction": "fraction",
    "_share": "fraction",
    "_days": "days",
    "_only": "yes or no",
}


class Listed(NamedTuple):
    """The gate that asks a limit, and what lets entries through again; no gate if it ends or makes orders."""

    gate: Gate | None
    cleared_by: str


LIMITS: dict[str, Listed] = {
    "max_open_positions": Listed(Gate.OPEN_POSITIONS, CLOSING),
    "max_new_entries": Listed(Gate.NEW_ENTRIES, NEXT_PASS),
    "max_session_entries": Listed(Gate.SESSION_ENTRIES, NEXT_SESSION),
    "max_symbol_entries": Listed(Gate.SYMBOL_ENTRIES, NEXT_SESSION),
    "max_orders_per_second": Listed(Gate.ORDER_RATE, QUIET),
    "max_orders_per_minute": Listed(Gate.ORDER_RATE, QUIET),
    "duplicate_window_s": Listed(Gate.DUPLICATE, QUIET),
    "max_order_fraction": Listed(Gate.ORDER_NOTIONAL, "orders are made to fit"),
    "max_order_notional_usd": Listed(Gate.ORDER_NOTIONAL, "orders are made to fit"),
    "min_order_notional_usd": Listed(Gate.ORDER_NOTIONAL, "a larger order"),
    "max_symbol_fraction": Listed(Gate.SYMBOL_NOTIONAL, CLOSING),
    "max_sector_fraction": Listed(Gate.SECTOR_NOTIONAL, CLOSING),
    "max_gross_fraction": Listed(Gate.GROSS_NOTIONAL, CLOSING),
    "max_contracts": Listed(Gate.CONTRACTS, CLOSING),
    "max_order_contracts": Listed(Gate.SIZE, "orders are made to fit"),
    "liquid_hours_only": Listed(Gate.SESSION, "the hours that the broker calls liquid"),
    "max_theme_fraction": Listed(Gate.THEME_NOTIONAL, CLOSING),
    "max_net_fraction": Listed(Gate.NET_NOTIONAL, "closing positions, or entries on the other side"),
    "max_beta_fraction": Listed(Gate.BETA_NOTIONAL, "closing positions, or entries that offset them"),
    "max_concentration": Listed(Gate.CONCENTRATION, CLOSING),
    "max_risk_fraction": Listed(Gate.RISK, "orders are made to fit; without a stop, only a stop"),
    "max_stop_loss_usd": Listed(Gate.STOP_LOSS, "orders are made to fit; without a stop, only a stop"),
    "max_open_risk_fraction": Listed(Gate.OPEN_RISK, f"{CLOSING}, or stops that move toward profit"),
    "max_basis_fraction": Listed(Gate.BASIS, "prices that meet again"),
    "max_minute_move_fraction": Listed(Gate.SHOCK, "shock_wait_s after the last such move"),
    "max_minute_range_fraction": Listed(Gate.SHOCK, "shock_wait_s after the last such move"),
    "max_basis_shock_fraction": Listed(Gate.SHOCK, "shock_wait_s after the two have met again"),
    "max_shocked_symbols": Listed(Gate.SHOCK, "shock_wait_s after the last such minute"),
    "shock_wait_s": Listed(Gate.SHOCK, QUIET),
    "max_cost_fraction": Listed(Gate.COST, "a shorter hold, or less funding"),
    "max_cost_of_stop_fraction": Listed(Gate.COST_OF_STOP, "lower costs, or a farther stop"),
    "max_funding_fraction": Listed(Gate.FUNDING, "a shorter hold, or less funding"),
    "min_reward_ratio": Listed(Gate.REWARD, "a farther target, or a nearer stop"),
    "min_edge_ratio": Listed(Gate.EDGE, "lower costs, or a farther target"),
    "max_daily_loss_fraction": Listed(Gate.DAILY_LOSS, "a smaller loss, or the next session"),
    "max_drawdown_fraction": Listed(Gate.MAX_DRAWDOWN, "positions that recover, or a person who raises it"),
    "min_equity_usd": Listed(Gate.EQUITY_FLOOR, "positions that recover, a deposit, or a person who lowers it"),
    "max_loss_streak": Listed(Gate.LOSS_STREAK, "loss_streak_wait_s after the last loss, or a person who raises it"),
    "loss_streak_wait_s": Listed(Gate.LOSS_STREAK, QUIET),
    "target_tolerance_fraction": Listed(Gate.TARGET, "a target farther away"),
    "cooldown_s": Listed(Gate.COOLDOWN, QUIET),
    "loss_cooldown_s": Listed(Gate.LOSS_COOLDOWN, QUIET),
    "wash_sale_days": Listed(Gate.WASH_SALE, QUIET),
    "max_margin_fraction": Listed(Gate.INITIAL_MARGIN, CLOSING),
    "min_free_margin_fraction": Listed(Gate.FREE_MARGIN, f"{CLOSING}, or a deposit"),
    "min_liquidation_fraction": Listed(Gate.LIQUIDATION, f"{CLOSING}, prices that recover, or a deposit"),
    "price_collar_fraction": Listed(Gate.PRICE_COLLAR, "a price nearer to the previous close"),
    "price_jump_fraction": Listed(Gate.QUOTE_FRESH, "a second reading of the price"),
    "limit_offset_fraction": Listed(None, "orders are made to fit"),
    "max_spread_fraction": Listed(Gate.SPREAD, "a narrower spread"),
    "max_slippage_fraction": Listed(Gate.DEPTH, "more that rests near the best price"),
    "max_quote_age_s": Listed(Gate.QUOTE_FRESH, NEW_DATA),
    "max_clock_skew_s": Listed(Gate.QUOTE_FRESH, NEW_DATA),
    "max_clock_disagreement_s": Listed(Gate.SESSION, "clocks that agree"),
    "max_flow_age_s": Listed(Gate.FLOW_FRESH, NEW_DATA),
    "max_candidate_age_s": Listed(Gate.CANDIDATE_FRESH, NEXT_PASS),
    "max_decision_s": Listed(Gate.SEND, NEXT_PASS),
    "max_decision_ms": Listed(Gate.SEND, NEXT_PASS),
    "max_sending_ms": Listed(Gate.SEND, NEXT_PASS),
    "max_reconcile_age_s": Listed(Gate.RECONCILED, "reconcile"),
    "max_foreign_share": Listed(Gate.FLOW_CONTRACT, NEW_DATA),
    "min_score": Listed(Gate.SCORE, "a stronger score"),
    "min_coverage": Listed(Gate.COVERAGE, NEW_DATA),
    "entry_life_s": Listed(None, "ends a working entry"),
    "exit_life_s": Listed(None, "reprices a working exit"),
}
HALT_RULES: dict[str, Listed] = {
    "daily_loss_fraction": Listed(Gate.DAILY_LOSS, "the next session, then unhalt"),
    "drawdown_fraction": Listed(Gate.DRAWDOWN, "unhalt --override, which measures from the current equity on"),
    "rejects": Listed(Gate.REFUSALS, "the end of the window, then unhalt"),
    "unknowns": Listed(Gate.UNANSWERED, "reconcile or the end of the window, then unhalt"),
    "storm_window_s": Listed(Gate.REFUSALS, QUIET),
    "unreadable_rows": Listed(Gate.VENUE_DRIFT, "replies that can be read, then unhalt"),
    "min_equity_usd": Listed(Gate.EQUITY_FLOOR, "equity above it or a lower floor, then unhalt"),
    "positions": Listed(Gate.POSITIONS_HELD, f"{CLOSING}, then unhalt"),
    "symbol_fraction": Listed(Gate.LARGEST_POSITION, f"{CLOSING}, then unhalt"),
    "margin_fraction": Listed(Gate.HELD_MARGIN, f"{CLOSING} or a deposit, then unhalt"),
    "maintenance_fraction": Listed(Gate.MAINTENANCE_MARGIN, f"{CLOSING} or a deposit, then unhalt"),
}


def section() -> list[str]:
    profiles = {"default": load(None, {}).settings, **dict(_profiles())}
    names = ("limit", *profiles, "unit", "gate", "monitor", "what clears it")
    rows = [*_rows("limits", LIMITS, profiles), *_rows("halts", HALT_RULES, profiles)]
    words = (
        "Values are the account's; a strategy's own value stands in parentheses. A limit that is null is off, and its "
        "gate isn't asked. A strategy's own limits are asked by the gate of that name with `own_` before it. What is "
        "of equity is of the allotment for a strategy. A monitor shows the limit in `tradebot audit`, or halts the bot."
    )
    return ["## Every limit", "", words, "", _line(names), "|" + "---|" * len(names), *rows, ""]


def _profiles() -> Iterator[tuple[str, Settings]]:
    for path in sorted(shipped("profiles").glob("*.yaml")):
        yield path.stem, load(Path(path), {}).settings


def _rows(part: str, listed: dict[str, Listed], profiles: dict[str, Settings]) -> Iterator[str]:
    watched = monitored()
    for name, (gate, cleared_by) in listed.items():
        monitor = HALTS if part == "halts" else "audit" if gate in watched else ""
        values = (_value(part, name, settings) for settings in profiles.values())
        yield _line((f"`{part}.{name}`", *values, unit(name, gate), f"`{gate}`" if gate else "", monitor, cleared_by))


def _value(part: str, name: str, settings: Settings) -> str:
    sections = settings.strategies.sections() if part == "limits" else {}
    own = {strategy: getattr(section.limits, name, None) for strategy, section in sections.items()}
    given = ", ".join(f"{strategy} {value}" for strategy, value in own.items() if value is not None)
    value = getattr(getattr(settings, part), name)
    shown = "null" if value is None else str(value)
    return f"{shown} ({given})" if given else shown


def unit(name: str, gate: Gate | None) -> str:
    if name in (*OF_EQUITY, *OPTIONAL_OF_EQUITY):
        return "of equity"
    by_end = next((words for end, words in BY_ENDS.items() if name.endswith(end)), "")
    counted = gate.unit if gate else Unit.NONE
    return by_end or ("fraction" if counted is Unit.SHARE_OF_WHOLE else counted.value[1])


def monitored() -> set[Gate]:
    """Return the gates whose limits are also shown for the book as it is, if all of them are set."""
    settings = load(None, {}).settings
    limits = settings.limits.model_copy(update=OPTIONS)
    held = {"AAPL": Decimal(1)}
    entered = Entered("flow", "AAPL", Side.BUY, NOW)
    seen = margined(exposure=held, sector_exposure=held, entries=(entered, entered))
    on_book, on_margin = (of.monitors(seen, limits, settings.halts) for of in (limits_of, margin_of))
    answers = (*on_book, *limits_of.rate_monitors(seen, limits, NOW), *on_margin)
    return {decision.gate for _, decision in answers}


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
