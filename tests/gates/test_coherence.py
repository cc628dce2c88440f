"""A configuration that loads cannot halt itself by what its own limits allow; a refused one says how it would."""

from decimal import Decimal

import pytest
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from tests.kit.values import (
    CASH,
    HALTS,
    NOW,
    OPTIONS,
    ask,
    book,
    candidate,
    desk,
    exit_rules,
    fetched_facts,
    leveled,
    limits,
    margin,
    quote,
)
from tradebot.gates import halts as halts_of
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.ask import Ask
from tradebot.gates.coherence import (
    Trader,
    contradictions,
    doubted_move,
    exit_contradictions,
    margin_contradictions,
    self_halting_scenarios,
)
from tradebot.gates.evaluation import decide
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, first_failure
from tradebot.model.desk import RiskBook, SessionEntry
from tradebot.model.instrument import MarginLevel
from tradebot.model.limits import COUNTS, OF_EQUITY, ExitRules, HaltRules, Limits, OwnLimits, in_force
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.venue import Settlement

SYMBOLS = tuple(f"S{number}" for number in range(60))
SECTORS = {symbol: f"sector {number % 12}" for number, symbol in enumerate(SYMBOLS)}
FACTS = {symbol: fetched_facts(symbol) for symbol in SYMBOLS}
RICH = CASH * 100
ROUNDS = 12
fractions = st.decimals("0.001", "0.6", places=3)


def trader(rules: Limits, exits: ExitRules, **changes: object) -> Trader:
    """Return a strategy that has the whole account, with the account's exits."""
    alone = Trader("flow", Decimal(1), rules, exits.stop_loss_fraction, exits.limit_offset_fraction)
    return replace(alone, **changes)  # type: ignore[arg-type]


def worst_loss(rules: Limits, exits: ExitRules) -> Decimal:
    alone = trader(rules, exits)
    return alone.full_book * alone.loss_per_usd


def halts(**changes: object) -> HaltRules:
    return HaltRules.model_validate({**HALTS.model_dump(), **changes})


@st.composite
def configurations(draw: st.DrawFn) -> tuple[Limits, ExitRules, HaltRules]:
    ladder = sorted(draw(st.lists(st.decimals("0.02", 1, places=2), min_size=4, max_size=4)))
    stop = draw(st.decimals("0.001", "0.2", places=3))
    steps = [draw(st.decimals("0.001", "0.3", places=3)) for _ in range(3)]
    names = ("max_order_fraction", "max_symbol_fraction", "max_sector_fraction", "max_gross_fraction")
    count = draw(st.integers(1, 60))
    # What lies above is drawn as a step up from what lies below, so that most draws load and each edge is met.
    day = ladder[-1] * stop + steps[0]
    rules = limits(
        **dict(zip(names, ladder, strict=True)), max_daily_loss_fraction=min(day, Decimal(1)),
        max_order_notional_usd=10**8, max_open_positions=count, max_new_entries=min(count, 5),
        max_spread_fraction=draw(st.sampled_from(["0.001", "0.005", "0.05"])),
        limit_offset_fraction=draw(st.sampled_from(["0", "0.002", "0.05"])),
    )  # fmt: skip
    exits = exit_rules(stop_loss_fraction=stop, limit_offset_fraction=draw(st.sampled_from(["0", "0.005", "0.05"])))
    halting = day + worst_loss(rules, exits) + steps[1] - Decimal("0.1")
    latches = (
        min(max(halting, Decimal("0.001")), Decimal(1)),
        min(max(halting + steps[2], Decimal("0.001")), Decimal(1)),
    )
    return rules, exits, halts(daily_loss_fraction=latches[0], drawdown_fraction=latches[1])


@given(jump=st.decimals("0.001", 1, places=3), stop=st.none() | st.decimals("0.001", 1, places=3))
def test_a_price_is_doubted_before_it_has_moved_as_far_as_a_stop(jump: Decimal, stop: Decimal | None) -> None:
    assert doubted_move(limits(price_jump_fraction=jump), stop) == min(jump, stop or jump)


def refused(rules: Limits, exits: ExitRules, latches: HaltRules) -> list[str]:
    return [
        *contradictions(rules),
        *exit_contradictions(exits),
        *self_halting_scenarios((trader(rules, exits),), rules, latches),
    ]


def after_losing(lost: Decimal, **changes: object) -> RiskBook:
    return book(equity=CASH - lost, day_loss=lost, peak_equity=CASH, buying_power=RICH, **changes)


def dearest(rules: Limits, exits: ExitRules) -> Decimal:
    """Return what a share may lose of its entry's worst price: played trade by trade, at the edge of every limit.

    It fills at the limit, as far past the ask as may be, over the widest spread; then the bid stands at the stop, the
    spread has opened again below it, and the exit slips by its whole offset.
    """
    entry = Decimal(1)
    bid = entry - rules.limit_offset_fraction - rules.max_spread_fraction
    stopped = min(bid, entry - exits.stop_loss_fraction - rules.max_spread_fraction)
    return entry - stopped + exits.limit_offset_fraction


def asked_of(symbol: str, seen: RiskBook, rules: Limits, latches: HaltRules) -> Ask:
    return ask(
        candidate=candidate(symbol), desk=desk(FACTS, sectors=SECTORS, book=seen), book=seen, limits=rules,
        halts=latches, quote=quote(symbol, "0.9999", "1.0000"),
    )  # fmt: skip


def filled(lost: Decimal, rules: Limits, latches: HaltRules) -> RiskBook:
    """Return the largest book that the gates themselves let anybody open after a loss."""
    seen = after_losing(lost)
    for symbol in SYMBOLS:
        # One cycle after another: what a cycle, a second or a session may send bounds the pace, not the book.
        asked = asked_of(symbol, replace(seen, new_entries=(), entries=()), rules, latches)
        if asked.size is not None and first_failure(decide(asked)) is None:
            entered = SessionEntry("flow", symbol, Side.BUY, NOW)
            seen = seen.with_entry(entered, asked.size.notional_usd, SECTORS[symbol])
    return seen


def troubles(seen: RiskBook, rules: Limits, latches: HaltRules) -> list[Decision]:
    """Return what is beyond its limit in a book, and what halts on it; the day's own gate only shuts entries."""
    on_book = [*limits_of.monitors(seen, rules, latches), *limits_of.rate_monitors(seen, rules, NOW)]
    beyond = [said for _, said in on_book if not said.passed and said.gate is not Gate.DAILY_LOSS]
    return [*beyond, *halts_of.failing_rules(desk(book=seen), latches)]


@given(drawn=configurations(), begun=st.decimals(0, "0.999", places=3))
def test_a_bot_that_keeps_to_its_limits_and_loses_all_that_its_stops_allow_is_never_halted(
    drawn: tuple[Limits, ExitRules, HaltRules], begun: Decimal
) -> None:
    rules, exits, latches = drawn
    if refused(*drawn):
        return
    lost = CASH * rules.max_daily_loss_fraction * begun
    for _ in range(ROUNDS):
        full = filled(lost, rules, latches)
        assert troubles(full, rules, latches) == []
        if not full.gross:
            break
        lost += full.gross * dearest(rules, exits)
        note(f"lost {lost / CASH:.4f}, the day's halt {latches.daily_loss_fraction}")
        assert troubles(after_losing(lost), rules, latches) == []


@given(drawn=configurations())
def test_every_refused_configuration_prints_the_scenario_in_which_it_would_halt_itself(
    drawn: tuple[Limits, ExitRules, HaltRules],
) -> None:
    rules, exits, latches = drawn
    for scenario in self_halting_scenarios((trader(rules, exits),), rules, latches):
        note(scenario)
        if scenario.endswith("could block entries"):
            assert worst_loss(rules, exits) >= rules.max_daily_loss_fraction
            continue
        assert str(latches.daily_loss_fraction) in scenario
        by_day = scenario.endswith("could halt the bot")
        assert by_day or scenario.endswith("which doesn't end with the day")
        assert (
            halted_as_told(rules, exits, latches)
            if by_day
            else latches.drawdown_fraction <= latches.daily_loss_fraction
        )


def halted_as_told(rules: Limits, exits: ExitRules, latches: HaltRules) -> bool:
    """Play the scenario: a day just short of its limit, a full book, every stop hit; a full book is of what is left."""
    start = rules.max_daily_loss_fraction - Decimal("0.0001")
    lost = start + worst_loss(rules, exits)
    if lost < latches.daily_loss_fraction or lost >= 1:
        return True
    causes = halts_of.failing_rules(desk(book=after_losing(CASH * lost)), latches)
    return Reason.DAILY_LOSS_HALT in {cause.reason for cause in causes}


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (
            {"daily_loss_fraction": "0.038"},
            "in a day that has lost just less than max_daily_loss_fraction 0.02, the bot may open a full book,"
            " whose stops and spreads can lose 0.018 more. That is 0.038 of equity, not less than"
            " halts.daily_loss_fraction 0.038: a full book could halt the bot",
        ),
        (
            {"drawdown_fraction": "0.04"},
            "a day that loses just less than halts.daily_loss_fraction 0.04 doesn't halt the bot, but it"
            " reaches halts.drawdown_fraction 0.04: such a day would cause the drawdown halt, which doesn't end"
            " with the day",
        ),
    ],
)
def test_a_scenario_is_told_with_its_numbers(changed: dict[str, str], says: str) -> None:
    assert list(self_halting_scenarios((trader(limits(), exit_rules()),), limits(), halts(**changed))) == [says]


@given(
    st.sampled_from([*COUNTS, *OF_EQUITY, "max_open_positions", "max_symbol_entries"]),
    st.integers(1, 1000),
    st.decimals("0.01", 1, places=2),
)
def test_one_own_limit_never_contradicts_the_limits_of_the_account(name: str, part: int, allotment: Decimal) -> None:
    account = limits()
    value = Decimal(part) / 1000 if name in OF_EQUITY else part
    own = OwnLimits.model_validate({name: value})
    used = in_force(account, own, allotment)
    assert all(getattr(used, each) <= max(value, getattr(account, each)) for each in (*COUNTS, *OF_EQUITY))
    small = name in OF_EQUITY and value > getattr(account, name)
    assert small or list(contradictions(used)) == []


def test_an_own_limit_narrows_what_has_to_fit_into_it_unless_that_is_given_too() -> None:
    own = {"max_open_positions": 2, "max_gross_fraction": "0.05"}
    used = in_force(limits(), OwnLimits.model_validate(own), Decimal(1))
    assert (used.max_new_entries, used.max_order_fraction, used.max_sector_fraction) == (
        2,
        Decimal("0.05"),
        Decimal("0.05"),
    )
    given_both = in_force(limits(), OwnLimits.model_validate({**own, "max_new_entries": 3}), Decimal(1))
    (scenario,) = contradictions(given_both)
    assert "max_new_entries 3 is above max_open_positions 2" in scenario


def test_the_largest_book_really_fills_its_limits() -> None:
    """The law above would hold of an empty book too: this one is full."""
    wide = limits(max_open_positions=60, max_order_notional_usd=10**8)
    full = filled(Decimal(0), wide, HALTS)
    assert full.gross / CASH > wide.max_gross_fraction - wide.max_order_fraction


def test_a_stop_nearer_than_an_entry_may_stand_past_the_touch_counts_as_far_as_that() -> None:
    rules, exits = limits(limit_offset_fraction=Decimal("0.05")), exit_rules(stop_loss_fraction=Decimal("0.001"))
    assert worst_loss(rules, exits) == rules.max_gross_fraction * dearest(rules, exits) == Decimal("0.036")
    scenarios = self_halting_scenarios((trader(rules, exits),), rules, HALTS)
    told = [scenario for scenario in scenarios if "stops are all hit" in scenario]
    assert "the entry's own limit_offset_fraction 0.05 + max_spread_fraction 0.005" in told[0]


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"max_theme_fraction": "0.09"}, "max_symbol_fraction 0.10 is above max_theme_fraction 0.09: "),
        ({"max_theme_fraction": "0.7"}, "max_theme_fraction 0.7 is above max_gross_fraction 0.60: "),
        ({"max_net_fraction": "0.04"}, "max_order_fraction 0.05 is above max_net_fraction 0.04: "),
        ({"max_net_fraction": "0.61"}, "max_net_fraction 0.61 is above max_gross_fraction 0.60: "),
        ({"max_concentration": "0.0024"}, "max_order_fraction 0.05 squared is above max_concentration 0.0024: "),
        ({"max_risk_fraction": "0.021"}, "max_risk_fraction 0.021 is above max_daily_loss_fraction 0.02: "),
        (
            {"max_risk_fraction": "0.015", "max_open_risk_fraction": "0.014"},
            "max_risk_fraction 0.015 is above max_open_",
        ),
        ({"max_loss_streak": 3}, "max_loss_streak 3 and loss_streak_wait_s None: "),
        ({"shock_wait_s": 60}, "shock_wait_s 60 and no limit on price moves: "),
        ({"max_minute_range_fraction": "0.04"}, "shock_wait_s None and max_minute_range_fraction: "),
        ({"max_shocked_symbols": 3, "shock_wait_s": 60}, "shock_wait_s 60 and max_shocked_symbols: "),
        ({"loss_streak_wait_s": 60}, "max_loss_streak None and loss_streak_wait_s 60: "),
        ({"loss_cooldown_s": 1800}, "loss_cooldown_s 1800 is not above cooldown_s 1800: "),
    ],
)
def test_a_limit_that_may_be_off_contradicts_others_only_while_it_is_set(changed: dict[str, object], says: str) -> None:
    (scenario,) = contradictions(limits(**changed))
    assert scenario.startswith(says)
    assert list(contradictions(limits(**OPTIONS))) == list(contradictions(limits())) == []


@pytest.mark.parametrize(
    ("changed", "latches", "says"),
    [
        ({"max_drawdown_fraction": "0.082"}, {}, "can lose 0.018 more. That is 0.1 of equity, not less than halts.dr"),
        (
            {"max_open_positions": 10},
            {"positions": 10},
            "max_open_positions 10 is not below halts.positions 10: a book",
        ),
        ({"max_symbol_fraction": "0.2"}, {"symbol_fraction": "0.2"}, "0.2 is not below halts.symbol_fraction 0.2"),
        ({"min_equity_usd": 500}, {"min_equity_usd": 500}, "min_equity_usd 500 is not above halts.min_equity_usd 500"),
    ],
)
def test_entries_close_before_the_bot_halts(changed: dict[str, object], latches: dict[str, object], says: str) -> None:
    alone = trader(limits(), exit_rules())
    (scenario,) = self_halting_scenarios((alone,), limits(**changed), halts(**latches))
    assert says in scenario
    steps = {500: 1, 10: -1}
    nearer = {name: Decimal(str(value)) + steps.get(value, Decimal("-0.001")) for name, value in changed.items()}  # type: ignore[call-overload]
    assert list(self_halting_scenarios((alone,), limits(**nearer), halts(**latches))) == []


STOPS = {"near": Decimal("0.01"), "far": Decimal("0.03")}


def test_full_books_together_are_no_larger_than_the_account_allows() -> None:
    half = trader(limits(), exit_rules(), allotment_fraction=Decimal("0.5"))
    near, far = (replace(half, name=name, stop_fraction=at) for name, at in STOPS.items())
    wall = limits(max_gross_fraction="0.4")
    # Of 0.3 each, the account has room for all of far's, which loses 0.04 a dollar, and for 0.1 of near's.
    lines = list(self_halting_scenarios((near, far), wall, halts(daily_loss_fraction="0.034")))
    assert "can lose 0.014 more. That is 0.034 of equity" in lines[0]
    tight = limits(max_gross_fraction="0.4", max_daily_loss_fraction="0.014")
    scenario = next(self_halting_scenarios((near, far), tight, HALTS))
    assert "within the account's max_gross_fraction 0.4 together lose 0.014 of equity" in scenario
    wide = list(
        self_halting_scenarios((near, far), limits(max_gross_fraction="0.6"), halts(daily_loss_fraction="0.038"))
    )
    assert "can lose 0.018 more" in wide[0]


MARGIN: dict[str, object] = {
    "max_margin_fraction": "0.90", "min_free_margin_fraction": "0.15", "min_liquidation_fraction": "0.35"
}  # fmt: skip
LEVERED: dict[str, object] = {
    "max_gross_fraction": "4.5", "max_sector_fraction": "4.5", "max_symbol_fraction": "0.25",
    "max_order_fraction": "0.25", "max_order_notional_usd": 10**8, "max_daily_loss_fraction": "0.14",
}  # fmt: skip


def on_margin(latches: dict[str, object] | None = None, exits: ExitRules | None = None, **changes: object) -> list[str]:
    rules = limits(**{**MARGIN, **changes})
    alone = trader(rules, exits or exit_rules())
    halting = halts(**{"margin_fraction": "0.92", **(latches or {})})
    return list(margin_contradictions((alone,), rules, halting, Settlement.MARGINED))


def test_limits_of_exposure_above_equity_fit_together_where_they_leave_enough_for_the_stops() -> None:
    """Eighteen positions of a quarter of the equity each."""
    assert on_margin(None, None, **LEVERED) == []
    rules = limits(**{**MARGIN, **LEVERED})
    alone = trader(rules, exit_rules())
    assert alone.full_book * alone.loss_per_usd == Decimal("0.135")
    latches = halts(daily_loss_fraction="0.28", drawdown_fraction="0.50", margin_fraction="0.92")
    assert list(self_halting_scenarios((alone,), rules, latches)) == list(contradictions(rules)) == []
    (scenario,) = self_halting_scenarios((alone,), rules, halts(daily_loss_fraction="0.27", drawdown_fraction="0.50"))
    assert "can lose 0.135 more. That is 0.275 of equity" in scenario
    tighter = limits(**{**MARGIN, **LEVERED, "max_daily_loss_fraction": "0.13"})
    assert "loses 0.135 of equity, not less than max_daily" in next(self_halting_scenarios((alone,), tighter, latches))


@pytest.mark.parametrize(
    ("changes", "latches", "says"),
    [
        (
            {"min_free_margin_fraction": "0.09"},
            {},
            "min_free_margin_fraction 0.09 leaves 0.91 of equity for margin, more than max_margin_fraction 0.90: this "
            "limit could never block entries",
        ),
        (
            {"min_free_margin_fraction": None},
            {"margin_fraction": "0.9"},
            "a book may use 0.9 of equity as margin (max_margin_fraction 0.90), not less than halts.margin_fraction"
            " 0.9: a full book could halt the bot",
        ),
        (
            {},
            {"margin_fraction": "0.85"},
            "a book may use 0.85 of equity as margin (min_free_margin_fraction 0.15), not less than"
            " halts.margin_fraction 0.85: a full book could halt the bot",
        ),
        (
            {},
            {"maintenance_fraction": "0.85"},
            "min_free_margin_fraction 0.15 lets positions use 0.85 of equity as margin, all of which may be"
            " maintenance margin. That is not less than halts.maintenance_fraction 0.85: a full book could halt"
            " the bot",
        ),
        (
            {},
            {"maintenance_fraction": 1},
            "halts.maintenance_fraction 1 is not below 1, at which the broker liquidates: the broker would act"
            " before the bot",
        ),
        (
            {"max_margin_fraction": "0.92"},
            {},
            "max_margin_fraction 0.92 is not below halts.margin_fraction 0.92: the bot could halt before this limit "
            "blocks entries",
        ),
        (
            {},
            {"margin_fraction": 1},
            "halts.margin_fraction 1 is not below 1, at which the broker liquidates: the broker would act"
            " before the bot",
        ),
        (
            {"min_liquidation_fraction": "0.03"},
            {},
            "strategies.flow: the broker may liquidate a position after a move of min_liquidation_fraction"
            " 0.03, but its stop acts only after a move of up to 0.03 (stop_loss_fraction 0.02 +"
            " max_spread_fraction 0.005 + limit_offset_fraction 0.005): the broker could liquidate the position"
            " before its stop acts",
        ),
        (
            {"max_gross_fraction": 5},
            {},
            "a full book (max_gross_fraction 5) whose stops are all hit (stop_loss_fraction 0.02 +"
            " max_spread_fraction 0.005 + limit_offset_fraction 0.005) loses 0.15 of equity, and may use 0.85"
            " of it as margin (min_free_margin_fraction 0.15). The rest of the equity doesn't cover that loss:"
            " the broker would cancel orders and liquidate before the last stop acts",
        ),
    ],
)
def test_a_limit_on_margin_that_could_not_hold_is_refused_with_its_scenario(
    changes: dict[str, object], latches: dict[str, object], says: str
) -> None:
    assert on_margin(latches, None, **changes) == [says]


@pytest.mark.parametrize(
    ("changes", "latches"),
    [
        ({"min_free_margin_fraction": "0.10"}, {}),
        ({"min_free_margin_fraction": None}, {"margin_fraction": "0.901"}),
        ({"max_margin_fraction": "0.85"}, {"margin_fraction": "0.851"}),
        ({"max_margin_fraction": "0.919"}, {}),
        ({"min_liquidation_fraction": "0.031"}, {}),
        ({"max_gross_fraction": "4.99"}, {}),
        ({"max_margin_fraction": None, "min_free_margin_fraction": None, "max_gross_fraction": 10}, {}),
        ({"min_liquidation_fraction": None}, {"margin_fraction": None}),
    ],
)
def test_limits_on_margin_load_just_short_of_a_scenario(changes: dict[str, object], latches: dict[str, object]) -> None:
    assert on_margin(latches, None, **changes) == []


def test_a_strategy_without_a_stop_promises_nothing_about_its_liquidation() -> None:
    rules, unstopped = limits(min_liquidation_fraction="0.01"), trader(limits(), exit_rules(), stop_fraction=None)
    assert list(margin_contradictions((unstopped,), rules, HALTS, Settlement.MARGINED)) == []


@pytest.mark.parametrize(
    ("changes", "latches", "says"),
    [
        ({"max_margin_fraction": "0.9"}, {}, "limits.max_margin_fraction 0.9 has no effect: this venue's accounts pay"),
        ({"min_free_margin_fraction": "0.1"}, {}, "limits.min_free_margin_fraction 0.1 has no effect"),
        ({"min_liquidation_fraction": "0.1"}, {}, "limits.min_liquidation_fraction 0.1 has no effect"),
        ({}, {"margin_fraction": "0.9"}, "halts.margin_fraction 0.9 has no effect"),
        (
            {"max_gross_fraction": "4.01"},
            {},
            "limits.max_gross_fraction 4.01 is above 4: no broker gives so much leverage",
        ),
        ({"max_net_fraction": 10}, {}, "limits.max_net_fraction 10 is above 4: no broker gives so much leverage"),
    ],
)
def test_a_paid_account_has_no_limits_on_margin(
    changes: dict[str, object], latches: dict[str, object], says: str
) -> None:
    (scenario,) = margin_contradictions((), limits(**changes), halts(**latches), Settlement.PAID)
    assert scenario.startswith(says)
    assert list(margin_contradictions((), limits(max_gross_fraction=4), halts(), Settlement.PAID)) == []


parts = st.decimals("0.05", "0.95", places=2)


def edge(*, count: int, **fractions: str) -> example:
    """Return an example that a rule for margins refuses, and that would be liquidated first if it didn't."""
    return example(count=count, most=Decimal("0.05"), **{name: Decimal(text) for name, text in fractions.items()})


@settings(max_examples=5 * settings().max_examples)
@given(
    stop=st.decimals("0.001", "0.1", places=3), gross=st.decimals("0.5", 10, places=1), count=st.integers(1, 4),
    most=parts, free=parts, least=st.decimals("0.01", "0.2", places=2),
    tied=st.decimals("0.5", "1.1", places=2), kept=st.decimals("0.3", 1, places=1),
)  # fmt: skip
@edge(stop="0.065", gross="9.1", count=1, free="0.61", least="0.01", tied="0.85", kept="1")
@edge(stop="0.084", gross="10", count=2, free="0.05", least="0.09", tied="0.5", kept="1")
def test_no_position_opened_within_its_limits_is_liquidated_before_its_stop(
    stop: Decimal, gross: Decimal, count: int, most: Decimal, free: Decimal, least: Decimal, tied: Decimal,
    kept: Decimal,
) -> None:  # fmt: skip
    """A full book ties up about as much as it may, and the venue asks to keep a part of that."""
    exits = exit_rules(stop_loss_fraction=stop, limit_offset_fraction="0.001")
    rules = limits(
        max_order_fraction=gross / count, max_symbol_fraction=gross / count, max_sector_fraction=gross,
        max_gross_fraction=gross, max_order_notional_usd=10**8, max_spread_fraction="0.001",
        max_margin_fraction=max(most, 1 - free), min_free_margin_fraction=free, min_liquidation_fraction=least,
    )  # fmt: skip
    if list(margin_contradictions((trader(rules, exits),), rules, HALTS, Settlement.MARGINED)):
        return
    initial = min(tied * (1 - free) / gross, Decimal(1))
    levels = (MarginLevel(Decimal(0), initial, initial * kept),)
    marks = dict.fromkeys(SYMBOLS, Decimal("0.99995"))
    seen = book(margin=margin(listings={symbol: leveled(symbol, levels) for symbol in SYMBOLS}, marks=marks))
    for symbol in SYMBOLS[: count + 1]:
        asked = asked_of(symbol, replace(seen, new_entries=(), entries=()), rules, HALTS)
        if asked.size is not None and first_failure(decide(asked)) is None:
            entered, size = SessionEntry("flow", symbol, Side.BUY, NOW), asked.size
            seen = seen.with_entry(entered, size.notional_usd, SECTORS[symbol], size.quantity, size.limit_price)
    assert seen.margin is not None
    note(f"{seen.gross / CASH:.3f} of equity, {seen.margin.initial_usd / CASH:.3f} tied up")
    alone = dearest(rules, exits)
    for one in seen.margin.liquidations(CASH):
        assert one.distance > alone
    # Every stop is hit: the equity left is above the margin of the book, which has only become smaller.
    assert not seen.gross or CASH - seen.gross * alone > seen.margin.maintenance_usd
