"""The limits on margin: each refuses with its numbers, passes at its edge, and watches the book as it gates entries."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gates.test_entry import OF_MARGIN as GATES
from tests.gates.test_entry import D, Row, sized
from tests.kit.values import (
    CASH,
    HALTS,
    LIMITS,
    NOW,
    OPTIONS,
    ask,
    book,
    candidate,
    desk,
    leveled,
    limits,
    margin,
    margined,
    quote,
    size_of,
)
from tradebot.gates import margin as margin_of
from tradebot.gates.ask import Ask
from tradebot.gates.evaluation import decide
from tradebot.gates.halts import failing_rules
from tradebot.model.account import AccountValue
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import RiskBook, SessionEntry
from tradebot.model.limits import OF_MARGIN, HaltRules, Limits
from tradebot.model.margin import PositionReach
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

FAIL, UNKNOWN, PASS = Verdict.FAIL, Verdict.UNKNOWN, Verdict.PASS
SET = LIMITS.model_copy(update={name: OPTIONS[name] for name in OF_MARGIN})
"""The shipped limits with those on margin."""
LATCHES = HALTS.model_copy(update={"margin_fraction": D("0.92"), "maintenance_fraction": D("0.92")})
TEN = sized(10)
"""An order of 1,000 USD, which ties up 100 and keeps 50."""


def on(seen: RiskBook, rules: Limits = SET, latches: HaltRules = LATCHES) -> Ask:
    return ask(book=seen, limits=rules, halts=latches, size=replace(TEN, margin_usd=D("100")))


def dear(seen: RiskBook) -> Ask:
    """Ask about an order of ten units that loses 1,100 as it fills, since its limit is that far above the mark."""
    return ask(book=seen, limits=SET, halts=LATCHES, size=replace(TEN, limit_price=D("210"), margin_usd=D("100")))


def said(asked: Ask) -> dict[Gate, Decision]:
    return {decision.gate: decision for decision in decide(asked)}


def without(**changes: object) -> RiskBook:
    """Return the book of an account with one position, of whose margin something isn't known."""
    return margined({"MSFT": "10"}, margin=replace(margin({"MSFT": "10"}), **changes))  # type: ignore[arg-type]


UNLISTED = {"MSFT": leveled("MSFT")}
UNMARKED = {"MSFT": D("100")}
LOST = margined({"MSFT": "10"}, equity=D("-5"), worth=AccountValue(D("-5"), D("0")))
"""What a book is like that has lost more than there was."""
REFUSALS: list[Row] = [
    (Gate.INITIAL_MARGIN, Reason.MARGIN_ABOVE_MAX, on(margined({"MSFT": "4000", "JPM": "1000"})),
     FAIL, D("0.901"), D("0.90")),
    (Gate.FREE_MARGIN, Reason.FREE_MARGIN_BELOW_MIN, on(margined({"MSFT": "4000", "JPM": "491"})),
     FAIL, D("0.1499"), D("0.15")),
    (Gate.FREE_MARGIN, Reason.FREE_MARGIN_BELOW_MIN, on(margined({"MSFT": "10"}, buying_power=D("15099"))),
     FAIL, D("0.14999"), D("0.15")),
    (Gate.LIQUIDATION, Reason.LIQUIDATION_TOO_NEAR, on(margined({"MSFT": "2000"}, equity=D("83041"))),
     FAIL, D("0.34995"), D("0.35")),
    (Gate.LIQUIDATION, Reason.LIQUIDATION_TOO_NEAR, on(margined({"MSFT": "-2000"}, equity=D("97039"))),
     FAIL, D("0.34995"), D("0.35")),
    (Gate.HELD_MARGIN, Reason.MARGIN_HALT, on(margined({"MSFT": "4000", "JPM": "1190"})), FAIL, D("0.92"), D("0.92")),
    (Gate.MAINTENANCE_MARGIN, Reason.MAINTENANCE_HALT, on(margined({"MSFT": "9195"})), FAIL, D("0.92"), D("0.92")),
    *((gate, Reason.MARGIN_UNKNOWN, on(without(initial=None)), UNKNOWN, None, limit) for gate, limit in (
        (Gate.INITIAL_MARGIN, D("0.90")), (Gate.FREE_MARGIN, D("0.15")), (Gate.LIQUIDATION, D("0.35")),
        (Gate.HELD_MARGIN, D("0.92")), (Gate.MAINTENANCE_MARGIN, D("0.92")), (Gate.BUYING_POWER, None),
    )),
    (Gate.FREE_MARGIN, Reason.MARGIN_UNKNOWN, on(without(available=None)), UNKNOWN, None, D("0.15")),
    (Gate.LIQUIDATION, Reason.MARGIN_UNKNOWN, on(without(maintenance=None)), UNKNOWN, None, D("0.35")),
    *((gate, Reason.MARGIN_LEVELS_UNKNOWN, on(without(listings=UNLISTED)), UNKNOWN, "AAPL", limit) for gate, limit in (
        (Gate.INITIAL_MARGIN, D("0.90")), (Gate.FREE_MARGIN, D("0.15")), (Gate.LIQUIDATION, D("0.35")),
        (Gate.HELD_MARGIN, D("0.92")), (Gate.MAINTENANCE_MARGIN, D("0.92")), (Gate.BUYING_POWER, None),
    )),
    *((gate, Reason.MARK_UNKNOWN, on(without(marks=UNMARKED)), UNKNOWN, "AAPL", limit) for gate, limit in (
        (Gate.INITIAL_MARGIN, D("0.90")), (Gate.FREE_MARGIN, D("0.15")), (Gate.LIQUIDATION, D("0.35")),
        (Gate.HELD_MARGIN, D("0.92")), (Gate.MAINTENANCE_MARGIN, D("0.92")), (Gate.BUYING_POWER, None),
    )),
    *((gate, Reason.EQUITY_UNKNOWN, on(margined(equity=D("0"))), UNKNOWN, D("0"), limit) for gate, limit in (
        (Gate.INITIAL_MARGIN, D("0.90")), (Gate.FREE_MARGIN, D("0.15")), (Gate.LIQUIDATION, D("0.35")),
        (Gate.HELD_MARGIN, D("0.92")), (Gate.MAINTENANCE_MARGIN, D("0.92")),
    )),
    *((gate, reason, on(LOST), FAIL, "no equity left", limit) for gate, reason, limit in (
        (Gate.INITIAL_MARGIN, Reason.MARGIN_ABOVE_MAX, D("0.90")),
        (Gate.FREE_MARGIN, Reason.FREE_MARGIN_BELOW_MIN, D("0.15")),
        (Gate.LIQUIDATION, Reason.LIQUIDATION_TOO_NEAR, D("0.35")),
        (Gate.HELD_MARGIN, Reason.MARGIN_HALT, D("0.92")),
        (Gate.MAINTENANCE_MARGIN, Reason.MAINTENANCE_HALT, D("0.92")),
    )),
    (Gate.INITIAL_MARGIN, Reason.MARGIN_ABOVE_MAX, dear(margined({"MSFT": "4000", "JPM": "892"})),
     FAIL, D("89020") / D("98900"), D("0.90")),
    (Gate.INITIAL_MARGIN, Reason.EQUITY_UNEXPLAINED, on(margined(worth=AccountValue(D("10"), D("0")))),
     UNKNOWN, CASH, D("10")),
    (Gate.BUYING_POWER, Reason.BUYING_POWER_SHORT, on(margined(buying_power=D("99"))), FAIL, D("100"), D("99")),
]  # fmt: skip
PASSES_AT_THE_EDGE: list[tuple[Gate, Ask]] = [
    (Gate.INITIAL_MARGIN, on(margined({"MSFT": "4000", "JPM": "990"}))),
    (Gate.FREE_MARGIN, on(margined({"MSFT": "4000", "JPM": "490"}))),
    (Gate.FREE_MARGIN, on(margined({"MSFT": "10"}, buying_power=D("15100")))),
    (Gate.LIQUIDATION, on(margined({"MSFT": "2000"}, equity=D("83050")))),
    (Gate.LIQUIDATION, on(margined({"MSFT": "-2000"}, equity=D("97050")))),
    (Gate.LIQUIDATION, dear(margined({"MSFT": "2000"}, equity=D("84150")))),
    (Gate.HELD_MARGIN, on(margined({"MSFT": "4000", "JPM": "1189"}))),
    (Gate.MAINTENANCE_MARGIN, on(margined({"MSFT": "9194"}))),
    (Gate.BUYING_POWER, on(margined(buying_power=D("100")))),
]


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: f"{row[0]}-{row[1]}")
def test_a_gate_of_margin_refuses_with_its_reason_and_its_numbers(row: Row) -> None:
    gate, reason, asked, verdict, observed, limit = row
    found = said(asked)[gate]
    assert (found.verdict, found.reason, found.observed, found.limit) == (verdict, reason, observed, limit)


@pytest.mark.parametrize(("gate", "asked"), PASSES_AT_THE_EDGE, ids=lambda part: str(part)[:20])
def test_a_gate_of_margin_passes_at_its_limit(gate: Gate, asked: Ask) -> None:
    assert said(asked)[gate].verdict is PASS


def test_each_gate_of_margin_has_a_case_that_it_refuses_and_one_that_it_passes() -> None:
    assert {*GATES, Gate.BUYING_POWER} == {row[0] for row in REFUSALS} == {gate for gate, _ in PASSES_AT_THE_EDGE}


def test_an_account_that_pays_for_what_it_buys_is_asked_nothing() -> None:
    assert not set(said(on(book()))) & set(GATES)
    assert list(margin_of.monitors(book(), SET, LATCHES)) == []
    assert Reason.MARGIN_HALT not in {cause.reason for cause in failing_rules(desk(book=book()), LATCHES)}


def test_each_limit_is_asked_alone_if_it_alone_is_set() -> None:
    limited = ("max_margin_fraction", "min_free_margin_fraction", "min_liquidation_fraction")
    for gate, name in zip((each for each in GATES if each not in margin_of.HALTING), limited, strict=True):
        seen = said(on(margined(), LIMITS.model_copy(update={name: OPTIONS[name]}), HALTS))
        assert set(seen) & set(GATES) == {gate}
    for gate, name in ((Gate.HELD_MARGIN, "margin_fraction"), (Gate.MAINTENANCE_MARGIN, "maintenance_fraction")):
        seen = said(on(margined(), LIMITS, HALTS.model_copy(update={name: D("0.92")})))
        assert set(seen) & set(GATES) == {gate}
    assert not set(said(on(margined(), LIMITS, HALTS))) & set(GATES)


def test_without_a_quote_no_limit_on_margin_passes() -> None:
    unpriced = said(ask(book=margined(), limits=SET, halts=LATCHES, quote=None))
    for gate in (*GATES, Gate.BUYING_POWER):
        assert (unpriced[gate].verdict, unpriced[gate].reason) == (UNKNOWN, Reason.QUOTE_MISSING)


SYMBOLS = ("AAPL", "MSFT", "JPM", "XOM")
WIDE = limits(
    **{name: OPTIONS[name] for name in OF_MARGIN}, max_order_fraction=4, max_symbol_fraction=4, max_sector_fraction=4,
    max_gross_fraction=4, max_order_notional_usd=10**8,
)  # fmt: skip
holdings = st.dictionaries(
    st.sampled_from(SYMBOLS), st.integers(-3000, 3000).filter(bool).map(str), min_size=1, max_size=3
)
equities = st.integers(20_000, 300_000).map(Decimal)


def wanting(seen: RiskBook, symbol: str, side: Side, quantity: int) -> Ask:
    wanted = replace(candidate(symbol, side), quantity=Decimal(quantity))
    return ask(book=seen, limits=WIDE, halts=LATCHES, candidate=wanted, quote=quote(symbol))


def entered(asked: Ask) -> RiskBook:
    size, wanted = asked.size, asked.candidate
    assert size is not None
    entry = SessionEntry("flow", wanted.symbol, wanted.side, NOW)
    return asked.book.with_entry(entry, size.notional_usd, "technology", size.quantity, size.limit_price)


@given(
    held=holdings,
    equity=equities,
    symbol=st.sampled_from(SYMBOLS),
    side=st.sampled_from(Side),
    quantity=st.integers(1, 3000),
)
def test_a_gate_says_of_an_entry_what_the_monitor_says_of_the_book_after_it(
    held: dict[str, str], equity: Decimal, symbol: str, side: Side, quantity: int
) -> None:
    asked = wanting(margined(held, equity=equity), symbol, side, quantity)
    gates, after = said(asked), entered(asked)
    watched = {decision.gate: decision for _, decision in margin_of.monitors(after, WIDE, LATCHES)}
    assert after.margin is not None
    filled = replace(after, margin=replace(after.margin, held=after.margin.reaches))
    # What halts the bot is judged by what is held, so once everything has filled.
    halts = (rule(filled, LATCHES) for rule in (margin_of.margin_halt, margin_of.maintenance_halt))
    watched |= {halt.gate: halt for halt in halts if halt}
    assert {gate: gates[gate] for gate in GATES} == watched


wishes = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(1, 4000)), min_size=1, max_size=6)


@settings(max_examples=50)
@given(held=holdings, equity=equities, wished=wishes)
def test_entries_that_pass_their_gates_trip_no_monitor_when_they_fill_at_their_worst(
    held: dict[str, str], equity: Decimal, wished: list[tuple[str, int]]
) -> None:
    """Each adds to its position; the account after the fills is worked out anew, as its venue would tell it."""
    seen, positions, left = margined(held, equity=equity), dict(held), equity
    passed = 0
    for symbol, quantity in wished:
        side = Side.SELL if Decimal(positions.get(symbol, "0")) < 0 else Side.BUY
        asked = wanting(seen, symbol, side, quantity)
        found = said(asked)
        if all(found[gate].passed for gate in (*GATES, Gate.BUYING_POWER)) and asked.size and asked.size.quantity:
            passed, seen = passed + 1, entered(asked)
            positions[symbol] = str(Decimal(positions.get(symbol, "0")) + side.sign * asked.size.quantity)
            left -= max(side.sign * (asked.size.limit_price - 100), Decimal(0)) * asked.size.quantity
    after = margined(positions, equity=left)
    troubles = [decision for _, decision in margin_of.monitors(after, WIDE, LATCHES) if not decision.passed]
    assert not passed or troubles == []
    assert after.buying_power >= seen.buying_power - (equity - left)


def test_an_open_order_closes_entries_and_halts_nobody() -> None:
    of = margin({"MSFT": "10"}).with_order("MSFT", Side.BUY, D("9990"), D("999000"), D("100"))
    seen = margined({"MSFT": "10"}, margin=of)
    watched = {decision.gate: decision.verdict for _, decision in margin_of.monitors(seen, SET, LATCHES)}
    assert watched == {
        Gate.INITIAL_MARGIN: FAIL, Gate.FREE_MARGIN: FAIL, Gate.LIQUIDATION: FAIL,
        Gate.HELD_MARGIN: PASS, Gate.MAINTENANCE_MARGIN: PASS,
    }  # fmt: skip
    assert failing_rules(desk(book=seen), LATCHES) == ()
    assert {said(on(seen))[gate].verdict for gate in margin_of.HALTING} == {FAIL}


def test_initial_margin_that_the_auction_may_not_plan_halts_although_maintenance_is_half_of_it() -> None:
    seen = margined({"MSFT": "4000", "JPM": "1280"})
    (halt,) = failing_rules(desk(book=seen), LATCHES)
    assert (halt.reason, halt.observed, halt.limit) == (Reason.MARGIN_HALT, D("0.928"), D("0.92"))


def test_a_monitor_names_the_position_that_is_nearest_to_liquidation() -> None:
    answers = {
        d.gate: subject for subject, d in margin_of.monitors(margined({"MSFT": "900", "JPM": "-1900"}), SET, LATCHES)
    }
    assert answers == {**dict.fromkeys(GATES, ""), Gate.LIQUIDATION: "JPM"}


def test_a_loss_of_all_the_equity_and_more_halts_by_every_rule_that_is_set() -> None:
    rules = LATCHES.model_copy(update={"min_equity_usd": D("50")})
    lost = replace(LOST, peak_equity=D("100000"), day_loss=D("100005"))
    reasons = {decision.reason for decision in failing_rules(desk(book=lost), rules)}
    assert reasons >= {Reason.MARGIN_HALT, Reason.MAINTENANCE_HALT, Reason.DAILY_LOSS_HALT, Reason.EQUITY_FLOOR_HALT}
    untrue = replace(lost, worth=AccountValue(D("100000"), D("0")))
    assert failing_rules(desk(book=untrue), rules) == (), "what the books don't explain halts nobody at once"


def test_figures_that_are_missing_for_a_moment_halt_nobody() -> None:
    for name, nothing in (("initial", None), ("listings", {}), ("marks", {})):
        assert failing_rules(desk(book=without(**{name: nothing})), LATCHES) == ()


def test_an_order_that_would_lose_all_the_equity_as_it_fills_is_not_judged() -> None:
    asked = ask(book=margined(equity=D("100")), limits=SET, halts=LATCHES, size=replace(TEN, limit_price=D("110")))
    found = said(asked)
    assert {found[gate].reason for gate in GATES} == {Reason.EQUITY_UNKNOWN}
    assert {(found[gate].verdict, found[gate].observed) for gate in GATES} == {(UNKNOWN, D("0"))}


@pytest.mark.parametrize("side", Side)
def test_an_entry_takes_of_the_available_margin_what_it_ties_up(side: Side) -> None:
    before = margined({"AAPL": "1990" if side is Side.BUY else "-1990"})
    asked = wanting(before, "AAPL", side, 10)
    assert asked.size is not None
    assert before.margin is not None
    # Ten more units lift the whole position to the next level.
    worth = 199_000 + asked.size.notional_usd
    assert asked.size.margin_usd == D("0.2") * worth - D("0.1") * 199_000
    after = entered(asked)
    assert after.buying_power == before.buying_power - asked.size.margin_usd
    assert after.margin is not None
    assert after.margin.initial_usd == before.margin.initial_usd + asked.size.margin_usd
    assert after.margin.reaches["AAPL", side].quantity == 2000


def test_a_size_in_a_paid_account_ties_up_its_worth() -> None:
    paid, held = (size_of(candidate(), quote(), seen, LIMITS) for seen in (book(), margined()))
    assert (paid.margin_usd, held.margin_usd) == (paid.notional_usd, paid.notional_usd / 10)
    assert replace(paid, margin_usd=held.margin_usd) == held


def test_a_strategys_own_book_has_the_accounts_margin() -> None:
    seen = margined({"MSFT": "10"})
    own = seen.own("flow", CASH / 4, {})
    assert (own.margin, own.buying_power) == (seen.margin, seen.buying_power)
    assert PositionReach(D("10"), D("1000")) in (own.margin.reaches if own.margin else {}).values()
