"""Which settings each gate compares with: the one table of it, for what-if and the sliders of its page.

A gate that is left to a person has none: permission, halts, a registry, an auction, an approval. Nor has one that no
number opens, such as a position that is held already.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from tradebot.gates.book import OWN_GATES
from tradebot.model.decision import Gate

LARGER, SMALLER = 1, -1


class Reads(Struct, frozen=True):
    """The names of settings that one gate reads: of `limits`, the account's or those in force for the strategy, which
    follow from both, and of `execution`.

    `exits` are those of the account's exits, and `costs` and `displacement` those in force for the strategy.

    If `sized` isn't 0, it also reads those that the size of an order follows from: 1 if a larger order helps, and -1 if
    a smaller one does.
    """

    account: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    execution: tuple[str, ...] = ()
    exits: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    displacement: tuple[str, ...] = ()
    sized: int = 0


STYLE = "style"
TARGET = "profit_target_fraction"
STOPS = ("stop_loss_fraction",)
ROUND_TRIP = ("taker_bps", "maker_bps", "slippage_bps")
PLANNED = (*ROUND_TRIP, "funding_day_bps", "hold_s")
SWITCH = "enabled"
ROOM = (SWITCH, "min_age_s", "gain_band_fraction", "score_advantage", "cooldown_s", "max_per_pass")
"""What decides whether a position gives way; without the switch, none of the others matters."""

SIZED = Reads(
    own=(
        "max_order_fraction",
        "max_order_notional_usd",
        "limit_offset_fraction",
        "max_risk_fraction",
        "max_stop_loss_usd",
        "max_symbol_fraction",
        "max_order_contracts",
    ),
    execution=("fit_to_room",),
    exits=STOPS,
)
"""What the size of an order follows from."""
NOTHING = Reads()

_OF_ACCOUNT: Mapping[Gate, Reads] = {
    Gate.OPEN_POSITIONS: Reads(("max_open_positions",), displacement=ROOM),
    Gate.NEW_ENTRIES: Reads(("max_new_entries",)),
    Gate.SESSION_ENTRIES: Reads(("max_session_entries",)),
    Gate.ORDER_RATE: Reads(("max_orders_per_second", "max_orders_per_minute")),
    Gate.SYMBOL_NOTIONAL: Reads(("max_symbol_fraction",), sized=SMALLER),
    Gate.SECTOR_NOTIONAL: Reads(("max_sector_fraction",), sized=SMALLER),
    Gate.GROSS_NOTIONAL: Reads(("max_gross_fraction",), sized=SMALLER),
    Gate.THEME_NOTIONAL: Reads(("max_theme_fraction",), sized=SMALLER),
    Gate.NET_NOTIONAL: Reads(("max_net_fraction",), sized=SMALLER),
    Gate.BETA_NOTIONAL: Reads(("max_beta_fraction",), sized=SMALLER),
    Gate.CONCENTRATION: Reads(("max_concentration",), sized=SMALLER),
    Gate.OPEN_RISK: Reads(("max_open_risk_fraction",), exits=STOPS, sized=SMALLER),
    Gate.DAILY_LOSS: Reads(("max_daily_loss_fraction",)),
    Gate.LOSS_STREAK: Reads(("max_loss_streak", "loss_streak_wait_s")),
}
"""Gates that a strategy may also have for itself, with its own limits."""

READS: Mapping[Gate, Reads] = MappingProxyType({
    **dict.fromkeys(Gate, NOTHING),
    **_OF_ACCOUNT,
    **{
        OWN_GATES[gate]: Reads(own=one.account, exits=one.exits, displacement=one.displacement, sized=one.sized)
        for gate, one in _OF_ACCOUNT.items()
    },
    Gate.SESSION: Reads(("liquid_hours_only",), own=("max_clock_disagreement_s",)),
    Gate.RECONCILED: Reads(own=("max_reconcile_age_s", "max_clock_skew_s")),
    Gate.FLOW_CONTRACT: Reads(own=("max_foreign_share",)),
    Gate.FLOW_FRESH: Reads(own=("max_flow_age_s", "max_clock_skew_s")),
    Gate.QUOTE_FRESH: Reads(own=("max_quote_age_s", "max_clock_skew_s")),
    Gate.CANDIDATE_FRESH: Reads(own=("max_candidate_age_s", "max_clock_skew_s")),
    Gate.COVERAGE: Reads(own=("min_coverage",)),
    Gate.TARGET: Reads(own=("target_tolerance_fraction",)),
    Gate.SCORE: Reads(own=("min_score",)),
    Gate.SIZE: Reads(sized=LARGER),
    Gate.PRICE_COLLAR: Reads(own=("price_collar_fraction", "limit_offset_fraction"), execution=(STYLE,)),
    Gate.SPREAD: Reads(own=("max_spread_fraction",)),
    Gate.CONTRACTS: Reads(("max_contracts",), sized=SMALLER),
    Gate.BASIS: Reads(own=("max_basis_fraction",)),
    Gate.SHOCK: Reads(("shock_wait_s", "max_basis_shock_fraction")),
    Gate.LIQUIDITY: Reads(execution=("max_quote_share", STYLE), sized=SMALLER),
    Gate.DEPTH: Reads(own=("max_slippage_fraction",), execution=(STYLE,), sized=SMALLER),
    Gate.SYMBOL_ENTRIES: Reads(own=("max_symbol_entries",)),
    Gate.ORDER_NOTIONAL: Reads(own=("min_order_notional_usd",), sized=LARGER),
    Gate.COST: Reads(own=("max_cost_fraction",), execution=(STYLE,), costs=ROUND_TRIP),
    Gate.COST_OF_STOP: Reads(own=("max_cost_of_stop_fraction",), execution=(STYLE,), exits=STOPS, costs=ROUND_TRIP),
    Gate.FUNDING: Reads(own=("max_funding_fraction",), costs=("funding_day_bps", "hold_s")),
    Gate.REWARD: Reads(own=("min_reward_ratio",), execution=(STYLE,), exits=(*STOPS, TARGET), costs=PLANNED),
    Gate.EDGE: Reads(own=("min_edge_ratio",), execution=(STYLE,), exits=(TARGET,), costs=PLANNED),
    Gate.RISK: Reads(own=("max_risk_fraction",), exits=STOPS, sized=SMALLER),
    Gate.STOP_LOSS: Reads(own=("max_stop_loss_usd",), exits=STOPS, sized=SMALLER),
    Gate.BUYING_POWER: Reads(sized=SMALLER),
    Gate.INITIAL_MARGIN: Reads(("max_margin_fraction",), sized=SMALLER),
    Gate.FREE_MARGIN: Reads(("min_free_margin_fraction",), sized=SMALLER),
    Gate.HELD_MARGIN: Reads(sized=SMALLER),
    Gate.MAINTENANCE_MARGIN: Reads(sized=SMALLER),
    Gate.LIQUIDATION: Reads(("min_liquidation_fraction",), sized=SMALLER),
    Gate.MAX_DRAWDOWN: Reads(("max_drawdown_fraction",)),
    Gate.EQUITY_FLOOR: Reads(("min_equity_usd",)),
    Gate.COOLDOWN: Reads(own=("cooldown_s",)),
    Gate.LOSS_COOLDOWN: Reads(own=("loss_cooldown_s",)),
    Gate.WASH_SALE: Reads(("wash_sale_days",)),
    Gate.DUPLICATE: Reads(own=("duplicate_window_s",)),
})  # fmt: skip
"""What each gate reads; a strategy's own filters say it themselves."""
