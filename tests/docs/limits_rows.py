"""The rows of docs/internals/LIMITS.md: where each limit comes from, what enforces it, and which test shows that.

A gate whose code explains it well enough has no row here: its row is generated from the predicate's docstring and
the limits that the predicate reads. `python -m tests.docs` writes the document.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.docs import limits_table
from tradebot.gates.ask import ACCOUNT, CANDIDATE, STRATEGY
from tradebot.gates.gate_declarations import OWN_GATES, Question
from tradebot.model.decision import Gate
from tradebot.model.limits import HaltRules, Limits

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "internals" / "LIMITS.md"
BOOK, HALTS, ENTRY, COMMON = (
    f"tradebot.gates.{name}" for name in ("portfolio_limits", "halts", "entry", "shared_gates")
)
GATES, ON_BOOK, ON_HALTS = (f"tests/gates/test_{name}.py" for name in ("entry", "portfolio_limits", "halts"))
HALTING, UNHALTED, RUNAWAY = (
    f"tests/{name}.py" for name in ("desk/test_auto_halt", "gates/test_coherence", "scenarios/test_runaway_strategy")
)
REGISTRY, ON_REGISTRY = "tradebot.gates.registry", "tests/gates/test_registry.py"
LOOKS = "tests/desk/test_quote_recheck.py"
LISTED = "tests/desk/test_listing_lookup.py"
HOURS = "tests/scenarios/test_instruments_own_hours.py"
PEAK = "tests/desk/test_auto_halt.py"
SNAPSHOT = "tests/desk/test_snapshot.py"
REFUSES = f"{GATES}::test_a_gate_refuses_with_its_reason_and_its_numbers"
SHARED = f"{ON_BOOK}::test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_book_after_it"
ALIKE = f"{ON_BOOK}::test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_entries_after_it"
OWN = "tests/gates/test_portfolio_limits_own.py"
OUTCOMES, ON_OPTIONS = "tradebot.gates.portfolio_limits", "tests/gates/test_evaluation_options.py"
OPTION = f"{ON_OPTIONS}::test_an_optional_gate_refuses_with_its_reason_and_its_numbers"
EDGE = f"{ON_OPTIONS}::test_an_optional_gate_passes_at_its_limit"
ALIKE_TOO = f"{ON_OPTIONS}::test_an_optional_gate_passes_exactly_where_the_monitor_of_the_book_after_it_passes"
MIRRORED = f"{ON_OPTIONS}::test_a_book_of_shorts_is_limited_as_its_mirror_image_of_longs"
MARGIN, ON_MARGIN = "tradebot.gates.margin", "tests/gates/test_margin.py"
ALIKE_ON_MARGIN = f"{ON_MARGIN}::test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_book_after_it"
STANDS = f"{ON_HALTS}::test_each_cause_stands_alone_with_its_numbers"


class Row(NamedTuple):
    """One rule: `limit` names its values in the configuration, `predicates` the functions that enforce it."""

    rule: str
    limit: str
    gates: tuple[Gate, ...]
    predicates: tuple[str, ...]
    tests: tuple[str, ...]


class Clause(NamedTuple):
    """One clause of the rule on market access, and how it is met: gates, other functions, tests, and words."""

    clause: str
    asks: str
    met: str
    predicates: tuple[str, ...]
    tests: tuple[str, ...]


ROWS = (
    Row("arming, order gates in the environment; mode, key and URL fit together", "mode, ARMED, HALT",
        (Gate.PERMISSION, Gate.TRADING_STATE), (f"{COMMON}.permission", f"{COMMON}.trading_state"), (REFUSES,)),
    Row("with real money, a strategy has shown enough, or a person has typed that it hasn't", "promotion",
        (Gate.PROMOTION,), (f"{COMMON}.promotion",),
        ("tests/gates/test_entry.py::test_strategy_needs_a_promotion_where_real_money_is_at_stake",)),
    Row("nothing looser than the accepted configuration", "every setting", (Gate.PERMISSION,),
        ("tradebot.gates.permission.configuration", f"{COMMON}.permission_to_enter"),
        ("tests/app/test_baseline.py::test_entries_close_if_any_limit_is_looser_and_exits_never_do",)),
    Row("space is left on the disk of the books", "storage.min_free_mb", (Gate.PERMISSION,),
        ("tradebot.gates.permission.storage", f"{COMMON}.permission_to_enter"),
        ("tests/gates/test_permission.py::test_a_full_disk_closes_entries_and_nothing_else",)),
    Row("session open, by the broker's clock and by the calendar", "timetable", (Gate.SESSION,),
        (f"{COMMON}.session_open",), (REFUSES,)),
    Row("an instrument is open by the hours that the broker tells, or else by its own calendar", "timetable",
        (Gate.SESSION,), (f"{COMMON}.instrument_open",),
        (f"{HOURS}::test_entry_is_refused_from_the_close_of_its_own_calendar_on",
         f"{HOURS}::test_the_hours_that_the_broker_tells_go_before_the_calendar")),
    Row("an entry is in the hours that the broker calls liquid, where it tells them", "limits.liquid_hours_only",
        (Gate.SESSION,), (f"{COMMON}.liquid_now",), (f"{HOURS}::test_entries_keep_to_liquid_hours_and_exits_do_not",)),
    Row("two clocks agree on the time: the venue's and this machine's", "limits.max_clock_disagreement_s",
        (Gate.SESSION,), (f"{COMMON}.clocks_agree",), (REFUSES,)),
    Row("the venue lists the symbol, with units worth what they were when a position in it was opened", "always",
        (Gate.INSTRUMENT,), (f"{COMMON}.instrument_known",),
        (f"{LISTED}::test_an_entry_in_what_was_listed_until_today_is_refused_with_its_own_reason",
         f"{LISTED}::test_entries_wait_while_a_position_was_opened_when_a_unit_was_worth_something_else")),
    Row("enough coins have data that can be trusted, where a registry is on",
        "registry.health.min_healthy, min_healthy_fraction",
        (Gate.DATA_HEALTH,), (f"{REGISTRY}.enough_healthy",),
        (f"{ON_REGISTRY}::test_entries_pause_while_too_few_coins_are_healthy",)),
    Row("the coin has a tier and its data can be trusted, where a registry is on", "registry.tiers, registry.health",
        (Gate.REGISTRY,), (f"{REGISTRY}.eligible",),
        (f"{ON_REGISTRY}::test_a_coin_is_refused_with_its_reason_and_its_numbers",)),
    Row("data is fresh", "limits.max_quote_age_s, max_clock_skew_s, max_flow_age_s",
        (Gate.QUOTE_FRESH, Gate.FLOW_FRESH),
        (f"{ENTRY}._quote_fresh", f"{ENTRY}._flow_fresh"), (REFUSES, f"{GATES}::test_a_gate_passes_at_its_limit")),
    Row("the reply contains the data we asked for", "limits.max_foreign_share, min_coverage",
        (Gate.FLOW_CONTRACT, Gate.COVERAGE), (f"{ENTRY}._flow_contract", f"{ENTRY}._coverage"), (REFUSES,)),
    Row("the symbol is in the universe and has a sector", "universe, sectors",
        (Gate.STRATEGY, Gate.SECTOR_NOTIONAL), ("tradebot.desk.proposals.propose", f"{ENTRY}._sector_notional"),
        ("tests/desk/test_proposals.py::*", REFUSES)),
    Row("fat finger: size and notional of one order",
        "limits.max_order_fraction, max_order_notional_usd, min_order_notional_usd", (Gate.SIZE, Gate.ORDER_NOTIONAL),
        (f"{ENTRY}._size", f"{ENTRY}._order_notional", "tradebot.gates.sizing.entry_size"),
        (f"{GATES}::test_a_size_is_whole_lots_within_both_limits",)),
    Row("price collar around the previous close; how far past the touch a limit may be",
        "limits.price_collar_fraction, limit_offset_fraction", (Gate.PRICE_COLLAR,),
        (f"{ENTRY}._price_collar", "tradebot.gates.sizing.marketable_limit"),
        (REFUSES, f"{GATES}::test_a_limit_price_is_on_its_tick_and_never_inside_the_touch")),
    Row("a price that jumped, or at which a rule closes a position, is read again, which never blocks an exit",
        "limits.price_jump_fraction", (Gate.QUOTE_FRESH,), ("tradebot.desk.quote_recheck.recheck_quotes",),
        (f"{LOOKS}::test_one_wrong_quote_never_closes_a_position_neither_at_once_nor_as_its_best_price",
         f"{LOOKS}::test_a_true_move_closes_in_its_pass_after_one_more_request_whatever_the_second_look_says")),
    Row("position after the fill, assuming the worst of open and unknown orders", "limits.max_symbol_fraction",
        (Gate.SYMBOL_NOTIONAL, Gate.POSITIONED), (f"{BOOK}.symbol_notional", f"{ENTRY}._require_free_symbol"),
        (SHARED,)),
    Row("a position counts at the venue's value or at quantity times price, whichever is more",
        "limits.max_symbol_fraction, max_sector_fraction, max_gross_fraction",
        (Gate.SYMBOL_NOTIONAL, Gate.SECTOR_NOTIONAL, Gate.GROSS_NOTIONAL), ("tradebot.desk.snapshot.book",),
        (f"{SNAPSHOT}::test_a_position_counts_at_the_worst_of_what_the_venue_and_this_passs_quote_say",)),
    Row("gross exposure and buying power after the fill", "limits.max_gross_fraction",
        (Gate.GROSS_NOTIONAL, Gate.BUYING_POWER), (f"{BOOK}.gross_notional", f"{ENTRY}._buying_power"), (SHARED,)),
    Row("an entry as a share of what the quote shows on the other side", "execution.max_quote_share",
        (Gate.LIQUIDITY,), ("tradebot.gates.sizing.liquidity",),
        ("tests/gates/test_sizing_execution.py::test_an_entry_takes_at_most_its_share_of_what_the_other_side_shows",)),
    Row("what rests on the other side near its best price, for the whole order; asked when nothing else refuses it",
        "limits.max_slippage_fraction, registry.tiers", (Gate.DEPTH,),
        ("tradebot.gates.prices.depth", "tradebot.gates.prices.slippage_of", "tradebot.orders.depth_check.with_depth"),
        ("tests/gates/test_prices.py::test_an_entry_needs_as_much_as_itself_within_the_slippage_of_the_quote",
         "tests/orders/test_depth_check.py::*")),
    Row("concentration in a sector, and open positions", "limits.max_sector_fraction, max_open_positions",
        (Gate.SECTOR_NOTIONAL, Gate.OPEN_POSITIONS), (f"{BOOK}.sector_notional", f"{BOOK}.open_positions"), (SHARED,)),
    Row("concentration in a theme, which may cut across sectors; a symbol that isn't listed is refused",
        "themes, limits.max_theme_fraction", (Gate.THEME_NOTIONAL,), (f"{BOOK}.theme_notional",),
        (OPTION, ALIKE_TOO, f"{ON_OPTIONS}::test_a_symbol_of_no_theme_counts_by_itself")),
    Row("longs less shorts, and the same times beta, whichever open orders fill",
        "betas, limits.max_net_fraction, max_beta_fraction", (Gate.NET_NOTIONAL, Gate.BETA_NOTIONAL),
        (f"{BOOK}.net_notional", f"{BOOK}.beta_notional"),
        (ALIKE_TOO, MIRRORED,
         f"{ON_OPTIONS}::test_whatever_orders_fill_the_net_exposure_stays_within_what_was_projected")),
    Row("concentration in few symbols: the sum of the squared shares of equity", "limits.max_concentration",
        (Gate.CONCENTRATION,), (f"{BOOK}.concentration",),
        (ALIKE_TOO, f"{ON_OPTIONS}::test_an_order_never_lowers_a_projected_exposure")),
    Row("risk per trade: what an entry loses at its stop; it makes the order smaller, and without a stop refuses it",
        "limits.max_risk_fraction", (Gate.RISK,), (f"{ENTRY}._risk", "tradebot.gates.sizing.entry_size"),
        (OPTION,
         f"{ON_OPTIONS}::test_a_size_never_risks_more_than_its_limit_and_is_otherwise_as_large_as_without_one")),
    Row("what one entry loses at its stop in USD, which makes it smaller; and what is lost if every stop is hit",
        "limits.max_stop_loss_usd, max_open_risk_fraction", (Gate.STOP_LOSS, Gate.OPEN_RISK),
        (f"{ENTRY}._stop_loss", f"{BOOK}.stop_loss", f"{BOOK}.open_risk",
         "tradebot.desk.strategy_exposure.risk_of_position"),
        (OPTION, EDGE, "tests/gates/test_sizing_caps.py::*", "tests/desk/test_strategy_exposure_risk.py::*")),
    Row("contracts held and ordered in all symbols together, and in one entry, which is made smaller",
        "limits.max_contracts, max_order_contracts", (Gate.CONTRACTS, Gate.SIZE),
        (f"{BOOK}.contracts", f"{ENTRY}._contracts", "tradebot.gates.sizing.entry_size"),
        (OPTION, EDGE, "tests/gates/test_portfolio_limits_contracts.py::*")),
    Row("an entry is made smaller to fit the symbol's room and the buying power", "execution.fit_to_room",
        (Gate.SIZE,), ("tradebot.gates.sizing.entry_size",),
        ("tests/gates/test_sizing_caps.py::test_an_entry_that_may_shrink_fits_into_every_cap_and_is_never_larger",)),
    Row("how far a perpetual's mark is from its coin's own price; a venue that tells neither is refused",
        "limits.max_basis_fraction", (Gate.BASIS,), ("tradebot.gates.prices.basis",),
        (OPTION, EDGE, "tests/gates/test_prices.py::test_the_basis_is_the_same_to_the_gate_and_to_the_monitor")),
    Row("a symbol waits after a large move of its price, and every symbol after one of several symbols together",
        "limits.max_minute_move_fraction, max_minute_range_fraction, max_basis_shock_fraction, max_shocked_symbols, "
        "shock_wait_s", (Gate.SHOCK,), ("tradebot.gates.prices.shock", "tradebot.desk.shocks.recent_shocks"),
        (OPTION, EDGE, "tests/desk/test_shocks.py::*")),
    Row("what an entry is expected to cost, with its funding, beside its notional, its stop and its targets",
        "costs, limits.max_cost_fraction, max_cost_of_stop_fraction, max_funding_fraction, min_reward_ratio, "
        "min_edge_ratio", (Gate.COST, Gate.COST_OF_STOP, Gate.FUNDING, Gate.REWARD, Gate.EDGE),
        ("tradebot.gates.costs.plan_of", "tradebot.gates.costs._cost", "tradebot.model.costs.round_trip"),
        (OPTION, EDGE, "tests/gates/test_costs.py::*", "tests/model/test_costs.py::*")),
    Row("equity far below its highest value, or below a floor, closes entries before it halts the bot",
        "limits.max_drawdown_fraction, min_equity_usd, halts.min_equity_usd", (Gate.MAX_DRAWDOWN, Gate.EQUITY_FLOOR),
        (f"{BOOK}.max_drawdown", f"{BOOK}.equity_floor", f"{BOOK}.equity_floor_halt"), (OPTION, ALIKE_TOO, STANDS)),
    Row("initial margin of everything held or ordered, and what is left of the margin, in an account that has any",
        "limits.max_margin_fraction, min_free_margin_fraction",
        (Gate.INITIAL_MARGIN, Gate.FREE_MARGIN, Gate.BUYING_POWER),
        (f"{MARGIN}.initial_margin", f"{MARGIN}.free_margin", f"{ENTRY}._buying_power"),
        (f"{ON_MARGIN}::test_a_gate_of_margin_refuses_with_its_reason_and_its_numbers", ALIKE_ON_MARGIN,
         f"{ON_MARGIN}::test_entries_that_pass_their_gates_trip_no_monitor_when_they_fill_at_their_worst")),
    Row("nothing is opened in a contract that is about to end", "the listing of the contract", (Gate.ROLL,),
        ("tradebot.gates.expiry.check_roll_date",),
        ("tests/gates/test_expiry.py::test_nothing_is_opened_from_the_day_on_which_positions_leave",)),
    Row("a contract that is held past its last day halts the bot", "the listing of the contract", (Gate.EXPIRY,),
        ("tradebot.gates.expiry.none_overdue",),
        ("tests/gates/test_expiry.py::test_a_contract_held_past_its_last_day_halts_and_the_same_predicate_refuses_entries",)),
    Row("more positions, or a larger one, than the limits let through halt the bot",
        "halts.positions, halts.symbol_fraction", (Gate.POSITIONS_HELD, Gate.LARGEST_POSITION),
        (f"{HALTS}.positions_halt", f"{HALTS}.symbol_halt"),
        (STANDS, f"{ON_HALTS}::test_the_predicate_that_halts_also_refuses_an_entry")),
    Row("how far each price is from where the broker liquidates", "limits.min_liquidation_fraction",
        (Gate.LIQUIDATION,), (f"{MARGIN}.liquidation", "tradebot.model.margin.liquidation_distance"),
        (ALIKE_ON_MARGIN,
         "tests/model/test_margin.py::test_at_its_liquidation_price_an_account_has_exactly_its_maintenance_margin")),
    Row("initial margin of what is held halts the bot", "halts.margin_fraction",
        (Gate.HELD_MARGIN,), (f"{MARGIN}.held_margin", f"{MARGIN}.margin_halt"),
        (STANDS,
         "tests/desk/test_strategy_exposure_margins.py::test_margin_near_the_equity_halts_once_and_leaves_stops_in_place")),
    Row("maintenance margin of what is held halts the bot before the broker liquidates", "halts.maintenance_fraction",
        (Gate.MAINTENANCE_MARGIN,), (f"{MARGIN}.maintenance_margin", f"{MARGIN}.maintenance_halt"),
        (STANDS,
         "tests/desk/test_strategy_exposure_margins.py::test_margin_near_the_equity_halts_once_and_leaves_stops_in_place")),
    Row("losing round trips in a row", "limits.max_loss_streak, loss_streak_wait_s", (Gate.LOSS_STREAK,),
        (f"{OUTCOMES}.loss_streak",), (OPTION, EDGE)),
    Row("the wait after a loss in the symbol, and the window of a wash sale (26 U.S.C. 1091)",
        "limits.loss_cooldown_s, wash_sale_days", (Gate.LOSS_COOLDOWN, Gate.WASH_SALE),
        (f"{OUTCOMES}.loss_cooldown", f"{OUTCOMES}.wash_sale"), (OPTION, EDGE)),
    Row("a strategy's own limits, on its own positions and orders; fractions are of its allotment",
        "strategies.NAME.allotment_fraction, strategies.NAME.limits", tuple(OWN_GATES.values()),
        (f"{BOOK}.as_strategy_limit", f"{BOOK}.own_monitors", "tradebot.model.limits.in_force"),
        (f"{OWN}::test_what_passes_a_strategys_own_limits_passes_the_accounts_too",
         f"{OWN}::test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_strategys_book_after_it")),
    Row("one side of a symbol at a time: another strategy on the opposite side refuses an entry", "always",
        (Gate.POSITIONED,), (f"{ENTRY}._require_free_symbol",), (REFUSES,)),
    Row("the wait after a fill in the symbol: any fill by the account's limit, the strategy's own by its own limit",
        "limits.cooldown_s", (Gate.COOLDOWN,), (f"{ENTRY}._cooldown",), (REFUSES,)),
    Row("an answer that is too old when prices and positions are read", "limits.max_candidate_age_s, max_clock_skew_s",
        (Gate.CANDIDATE_FRESH,), (f"{COMMON}.candidate_fresh",), (REFUSES,)),
    Row("a decision that took too long after prices and positions were read", "limits.max_decision_s",
        (Gate.SEND,), ("tradebot.orders.order_sender._too_late",),
        ("tests/orders/test_order_sender.py::test_an_entry_on_a_desk_that_is_too_old_is_kept_back_with_its_age",)),
    Row("a decision, or an order that leaves, later than these limits after what came before it; off unless set",
        "limits.max_decision_ms, max_sending_ms", (Gate.SEND,), ("tradebot.orders.order_sender._refuse_if_longer",),
        ("tests/orders/test_order_sender.py::test_an_entry_that_takes_too_long_is_refused_with_both_numbers",)),
    Row("a target this close to what is held counts as reached", "limits.target_tolerance_fraction", (Gate.TARGET,),
        ("tradebot.desk.proposals.change_to",), ("tests/desk/test_proposals.py::*",)),
    Row("with the book full, a strategy's weakest position gives way to a clearly better candidate", "displacement",
        (Gate.DISPLACEMENT,), ("tradebot.gates.displacement.judge", "tradebot.orders.entry_orders.make_room"),
        ("tests/gates/test_displacement.py::*", "tests/orders/test_entry_orders.py::*")),
    Row("positions and candidates of strategies that chose the auction compete for the account's room", "auction",
        (Gate.DISPLACEMENT,), ("tradebot.gates.auction.hold_auction", "tradebot.orders.auction_trading.execute_ruling"),
        ("tests/gates/test_auction.py::*", "tests/orders/test_auction_trading.py::*")),
    Row("an entry that nothing else refuses waits for a person's yes", "approval", (Gate.APPROVAL,),
        ("tradebot.gates.approval.judge", "tradebot.orders.entry_orders.ask_approval"),
        ("tests/gates/test_approval.py::*", "tests/orders/test_entry_orders_approvals.py::*")),
    Row("daily loss: entries close first, then the bot halts",
        "limits.max_daily_loss_fraction, halts.daily_loss_fraction", (Gate.DAILY_LOSS,),
        (f"{BOOK}.daily_loss", f"{BOOK}.daily_loss_halt"),
        (SHARED, f"{HALTING}::test_a_day_that_lost_too_much_halts_once_with_its_evidence_and_an_event")),
    Row("a strategy's own daily loss, with the positions that it closed and those that it holds",
        "strategies.NAME.limits.max_daily_loss_fraction", (Gate.OWN_DAILY_LOSS,),
        (f"{ENTRY}._own_daily_loss", "tradebot.desk.strategy_exposure.day_results"),
        (OPTION, "tests/desk/test_strategy_exposure.py::*")),
    Row("drawdown from the highest equity; a tenfold jump counts only after two passes in a row see it",
        "halts.drawdown_fraction", (Gate.DRAWDOWN,), (f"{BOOK}.check_drawdown", "tradebot.desk.auto_halt.remember"),
        (SHARED, f"{HALTING}::test_a_slow_fall_halts_by_its_distance_from_the_highest_equity_ever_seen",
         f"{PEAK}::test_no_single_reading_moves_the_peak_more_than_tenfold")),
    Row("equity within a quarter of cash plus positions; otherwise it is not used, and never halts the bot",
        "always", (Gate.DAILY_LOSS, Gate.DRAWDOWN), (f"{BOOK}.unknown_loss",),
        (f"{ON_BOOK}::test_equity_that_cash_and_positions_do_not_explain_fails_no_rule_and_passes_none",)),
    Row("entries per pass and per session", "limits.max_new_entries, max_session_entries",
        (Gate.NEW_ENTRIES, Gate.SESSION_ENTRIES), (f"{ENTRY}._new_entries", f"{BOOK}.session_entries"),
        (ALIKE, REFUSES)),
    Row("orders per second and per minute", "limits.max_orders_per_second, max_orders_per_minute", (Gate.ORDER_RATE,),
        (f"{BOOK}.order_rate",),
        (ALIKE, f"{RUNAWAY}::test_whoever_asks_again_and_again_is_stopped_at_five_orders")),
    Row("repeated entries: same strategy, symbol and side in one session", "limits.max_symbol_entries",
        (Gate.SYMBOL_ENTRIES,), (f"{BOOK}.symbol_entries",), (ALIKE, REFUSES)),
    Row("duplicate: the same id, or the same symbol and side from another slot or strategy",
        "limits.duplicate_window_s", (Gate.DUPLICATE,),
        (f"{ENTRY}._duplicate", f"{BOOK}.duplicate_order"), (ALIKE, REFUSES)),
    Row("self-match: no entry while any order on the symbol is working", "always", (Gate.WORKING,),
        (f"{COMMON}.working_for_entry",), (REFUSES,)),
    Row("an order on the symbol with an unknown outcome", "always", (Gate.UNRESOLVED,),
        (f"{COMMON}.check_unresolved",), (REFUSES,)),
    Row("reject storm", "halts.rejects, storm_window_s", (Gate.REFUSALS,), (f"{HALTS}.refusals",),
        (STANDS, f"{HALTING}::test_five_refusals_over_several_passes_are_a_storm_and_ten_minutes_end_it")),
    Row("UNKNOWN storm", "halts.unknowns, storm_window_s", (Gate.UNANSWERED,), (f"{HALTS}.check_unanswered_orders",),
        (STANDS, f"{HALTING}::test_orders_without_an_answer_are_a_storm_until_they_are_found")),
    Row("a second writer, or an id used for different content", "always", (Gate.SECOND_WRITER,),
        (f"{HALTS}.second_writer",), (STANDS, f"{HALTING}::test_another_order_under_our_id_halts_whenever_it_is_seen")),
    Row("books that lack earlier orders of ours", "always", (Gate.BOOKS_OLD,), (f"{HALTS}.books_old",),
        (STANDS, "tests/reconciliation/test_unknown_orders.py::*")),
    Row("venue replies in a format we don't know", "halts.unreadable_rows", (Gate.VENUE_DRIFT,),
        (f"{HALTS}.venue_drift",), (STANDS, f"{HALTING}::test_rows_that_nobody_can_read_halt_until_they_can_be_read")),
)  # fmt: skip
"""The rules that the bot enforces before an order."""

WITHOUT_ROW = (Gate.JOB, Gate.NEEDS, Gate.TARGET, Gate.EXIT, Gate.SEND)
"""Gates of a pass, an exit or a submission, which are not limits on an entry."""


def rows() -> tuple[Row, ...]:
    """Return the rows above, then one for each gate that they leave out, in the order in which gates are asked."""
    return (*ROWS, *own_rows([*ACCOUNT.questions, *STRATEGY.questions, *CANDIDATE.questions]))


def own_rows(gates: Iterable[tuple[Gate, Question[Any]]]) -> Iterator[Row]:
    """Yield a row for each gate that ROWS leaves out, if its predicate has a docstring."""
    named = {gate for row in ROWS for gate in row.gates}
    for gate, predicate in gates:
        if gate not in named and predicate.__doc__:
            rule = predicate.__doc__.partition("\n")[0].removesuffix(".")
            yield Row(rule, _limits_in(predicate), (gate,), (f"{ENTRY}.{predicate.__name__}",), (REFUSES,))


def _limits_in(predicate: Callable[..., Any]) -> str:
    """Return the settings that the predicate's source reads."""
    read = dict.fromkeys(re.findall(r"\b(limits|halts)\.(\w+)", inspect.getsource(predicate)))
    known = {"limits": Limits.model_fields, "halts": HaltRules.model_fields}
    return ", ".join(f"{section}.{name}" for section, name in read if name in known[section]) or "always"


CLAUSES = (
    Clause("(c)(1)(i)", "orders beyond pre-set capital thresholds are prevented", "gross, symbol, sector, loss",
           (f"{BOOK}.gross_notional", f"{BOOK}.symbol_notional", f"{BOOK}.daily_loss", f"{BOOK}.check_drawdown"),
           (SHARED,)),
    Clause("(c)(1)(ii)", "erroneous orders are prevented: by price and size, order by order", "collar and fat finger",
           (f"{ENTRY}._price_collar", f"{ENTRY}._order_notional"), (REFUSES,)),
    Clause("(c)(1)(ii)", "… or over a short period of time", "orders per second, minute, session and symbol",
           (f"{BOOK}.order_rate", f"{BOOK}.session_entries", f"{BOOK}.symbol_entries"), (ALIKE,)),
    Clause("(c)(1)(ii)", "… or that indicate duplicative orders", "ids computed from the content, and a time window",
           (f"{BOOK}.duplicate_order", "tradebot.model.intent.IntentKey"), (ALIKE, REFUSES)),
    Clause("(c)(2)(i)", "no order unless every precondition is met", "every gate is asked and recorded",
           ("tradebot.gates.evaluation.decide",), (f"{GATES}::test_every_gate_is_asked_even_after_a_no",)),
    Clause("(c)(2)(ii)", "no order in what the account may not trade",
           "the universe; the venue itself refuses what it restricts",
           ("tradebot.desk.proposals.propose",), ("tests/desk/test_proposals.py::*",)),
    Clause("(c)(2)(iii)", "access for those who are authorized", "the account number must match the books",
           ("tradebot.reconciliation.read_books.require_account",), ("tests/desk/test_snapshot.py::*",)),
    Clause("(c)(2)(iv)", "executions are reported at once to those who supervise",
           "fills in the ledger, halts as CRITICAL events",
           ("tradebot.reconciliation.catch_up.catch_up", "tradebot.desk.auto_halt.halt_if_needed"),
           (f"{HALTING}::test_a_day_that_lost_too_much_halts_once_with_its_evidence_and_an_event",)),
    Clause("(d)", "direct and exclusive control", "no flag skips a gate; limits that contradict each other do not load",
           ("tradebot.gates.coherence.contradictions", "tradebot.gates.coherence.halts_by_itself"),
           (f"{UNHALTED}::test_a_bot_that_keeps_to_its_limits_and_loses_all_that_its_stops_allow_is_never_halted",)),
    Clause("(e)", "regular review of what the controls do",
           "every verdict is recorded; `audit` asks the same predicates",
           (f"{BOOK}.monitors", f"{BOOK}.monitors"), ("tests/judging/test_audit.py::*",)),
)  # fmt: skip
"""The clauses of 17 CFR 240.15c3-5 that a bot for one account can meet; the rule itself applies to broker-dealers."""

NOT_HELD = (
    "A cancel ratio, and an earnings blackout: we have no source of earnings dates.",
    "Whether the venue has halted or restricted a symbol: the venue itself refuses such an order and says why.",
    "Expected edge compared with cost: a score is not a price, so only the spread has a limit.",
)

HEAD = """# Limits

Each rule is one predicate. A gate applies it to the book as the next order would leave it; a monitor applies it to the
book as it is. `tradebot audit` runs the monitors when you ask for it, and every pass starts with those that can halt
the bot. No flag skips a gate. Limits never hold back an order that reduces risk; it only needs permission, an open
session, and no other order working for its position. This page is generated from the gates and
`tests/docs/limits_rows.py`; `tests/docs/test_limits_document.py` keeps it true.

"""


def render() -> str:
    not_held = ("## Not held", "", *(f"- {words}" for words in NOT_HELD), "")
    return HEAD + "\n".join((*limits_table.section(), *_rules(), *_clauses(), *not_held))


def _rules() -> list[str]:
    lines = [_cells(row.rule, row.limit, _code(row.gates), _code(row.predicates), _short(row.tests)) for row in rows()]
    return ["## Before an order", "", *_table("rule", "values", "gate", "predicate", "test"), *lines, ""]


def _clauses() -> list[str]:
    words = "The rule on market access (17 CFR 240.15c3-5) applies to broker-dealers. It's still a good yardstick."
    lines = [_cells(c.clause, c.asks, c.met, _code(c.predicates), _short(c.tests)) for c in CLAUSES]
    return ["## SEC 15c3-5", "", words, "", *_table("clause", "asks", "met by", "predicate", "test"), *lines, ""]


def _table(*names: str) -> tuple[str, str]:
    return _cells(*names), "|" + "---|" * len(names)


def _cells(*texts: str) -> str:
    return f"| {' | '.join(texts)} |"


def _code(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name.removeprefix('tradebot.')}`" for name in names)


def _short(tests: tuple[str, ...]) -> str:
    return ", ".join(f"`{test.removeprefix('tests/').removesuffix('::*')}`" for test in tests)
