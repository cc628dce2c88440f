"""What a passing gate shows: the same numbers as a refusing one, so that a yes can be questioned as well as a no."""

from decimal import Decimal

import pytest

from tests.gates.test_entry import REFUSALS
from tests.kit.values import CASH, LIMITS, NOW, ago, ask, book, desk, fetched_facts, quote
from tradebot.gates.ask import Ask
from tradebot.gates.evaluation import decide
from tradebot.gates.shared_gates import check_still_held, closable_quantity
from tradebot.model.bar import SUSPENDED
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import SessionEntry
from tradebot.model.fact_kind import Breach, Drift
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ReconcileMark


def contract(asked: Ask) -> Decision:
    return next(decision for decision in decide(asked) if decision.gate is Gate.FLOW_CONTRACT)


def with_drift(rows: int, strategy: str = "flow") -> Ask:
    drift = Drift("insider", Breach.GONE, "purchases", rows, 100, "{}")
    return ask(desk=desk({"AAPL": fetched_facts("AAPL")}, core_drifts={strategy: drift}))


def test_a_broken_contract_of_a_core_signal_closes_entries_by_name() -> None:
    decision = contract(with_drift(21))
    assert (decision.verdict, decision.reason, decision.limit) == (
        Verdict.FAIL, Reason.CORE_CONTRACT_BROKEN, Decimal("0.20"),
    )  # fmt: skip
    assert decision.observed == "insider: the field purchases is gone in 21 of 100 rows"


def test_a_difference_within_the_limit_closes_nothing() -> None:
    assert contract(with_drift(20)).passed


def test_another_strategys_signals_close_nothing() -> None:
    assert contract(with_drift(100, "others")).passed


ENTERED = (SessionEntry("flow", "MSFT", Side.BUY, ago(600)), SessionEntry("flow", "AAPL", Side.BUY, ago(90)))
SHOWN = {
    Gate.TRADING_STATE: ("ACTIVE", None, None),
    Gate.RECONCILED: (60.0, 2700, 60.0),
    Gate.FLOW_CONTRACT: (Decimal("0.1"), Decimal("0.20"), None),
    Gate.FLOW_FRESH: (30.0, 900, 30.0),
    Gate.QUOTE_FRESH: (7.0, 120, 7.0),
    Gate.SCORE: (0.5, 0.25, None),
    Gate.COVERAGE: (0.9, 0.6, None),
    Gate.OPEN_POSITIONS: (1, 5, None),
    Gate.NEW_ENTRIES: (1, 3, None),
    Gate.COOLDOWN: (2000.0, 1800, 2000.0),
    Gate.DUPLICATE: (90.0, 60, 90.0),
    Gate.SESSION_ENTRIES: (3, 30, None),
    Gate.SYMBOL_ENTRIES: (2, 4, None),
    Gate.DAILY_LOSS: (Decimal(0), Decimal("0.02"), None),
    Gate.DRAWDOWN: (Decimal(0), Decimal("0.10"), None),
}
UNIT_BY_END = {
    "_s": Unit.SECONDS,
    "_usd": Unit.USD,
    "_fraction": Unit.SHARE_OF_WHOLE,
    "_share": Unit.SHARE_OF_WHOLE,
}
STALE = {
    Gate.RECONCILED: (2701.0, Reason.RECONCILE_STALE),
    Gate.FLOW_FRESH: (901.0, Reason.FLOW_STALE),
    Gate.QUOTE_FRESH: (121.0, Reason.QUOTE_STALE),
    Gate.COOLDOWN: (10.0, Reason.COOLDOWN),
}


def facts(**changes: object) -> dict[str, SymbolFacts]:
    return {"AAPL": fetched_facts("AAPL", **changes)}


def said(asked: Ask) -> dict[Gate, Decision]:
    return {decision.gate: decision for decision in decide(asked)}


def numbers(decision: Decision) -> tuple[object, object, object]:
    return decision.observed, decision.limit, decision.age_s


@pytest.mark.parametrize("gate", SHOWN)
def test_a_gate_that_passes_shows_what_it_saw_its_limit_and_its_age(gate: Gate) -> None:
    asked = ask(
        desk=desk(facts(foreign=1, alerts_fetched_at=ago(30)), reconcile=ReconcileMark(ago(60), 0, 0)),
        book=book(entries=ENTERED, last_fill_at={"AAPL": ago(2000)}, peak_equity=CASH),
        quote=quote(at=ago(7)),
    )
    decision = said(asked)[gate]
    assert decision.verdict is Verdict.PASS
    assert numbers(decision) == SHOWN[gate]


@pytest.mark.parametrize("gate", STALE)
def test_a_gate_that_fails_for_an_age_carries_it(gate: Gate) -> None:
    asked = ask(
        desk=desk(facts(alerts_fetched_at=ago(901)), reconcile=ReconcileMark(ago(2701), 0, 0)),
        book=book(last_fill_at={"AAPL": ago(10)}),
        quote=quote(at=ago(121)),
    )
    decision = said(asked)[gate]
    assert (decision.age_s, decision.reason) == STALE[gate]


@pytest.mark.parametrize("gate", [Gate.RECONCILED, Gate.FLOW_FRESH, Gate.QUOTE_FRESH])
def test_a_gate_that_fails_for_a_future_time_carries_its_age(gate: Gate) -> None:
    ahead = desk(facts(alerts_fetched_at=ago(-6)), reconcile=ReconcileMark(ago(-6), 0, 0))
    assert said(ask(desk=ahead, quote=quote(at=ago(-6))))[gate].age_s == -6.0


def test_a_gate_observes_why_the_venue_refused_a_quote() -> None:
    refused = desk(rejected_quotes={"AAPL": "bid above ask", "MSFT": "no bid"})
    decision = said(ask(quote=None, desk=refused))[Gate.QUOTE_FRESH]
    assert (decision.verdict, decision.observed) == (Verdict.UNKNOWN, "bid above ask")
    closed = said(ask(quote=None, desk=desk(rejected_quotes={"AAPL": SUSPENDED})))[Gate.QUOTE_FRESH]
    assert (closed.verdict, closed.reason, closed.observed) == (Verdict.UNKNOWN, Reason.TRADING_SUSPENDED, None)


def test_without_rows_the_contract_of_the_flow_has_seen_none_foreign() -> None:
    assert numbers(said(ask(desk=desk(facts(received=0))))[Gate.FLOW_CONTRACT]) == (0, Decimal("0.20"), None)


def test_a_candidate_that_uses_no_components_still_shows_the_limit_of_coverage() -> None:
    ordinary = ask()
    outside = replace(ordinary.candidate, source="research", reads_flow=False, coverage=None)
    decision = said(replace(ordinary, candidate=outside))[Gate.COVERAGE]
    assert decision.limit == 0.6


def test_an_entry_without_a_price_shows_the_limit_that_was_not_checked() -> None:
    unpriced = said(ask(quote=None))
    limits = {
        Gate.PRICE_COLLAR: Decimal("0.10"),
        Gate.SYMBOL_NOTIONAL: Decimal("0.10"),
        Gate.SECTOR_NOTIONAL: Decimal("0.30"),
        Gate.GROSS_NOTIONAL: Decimal("0.60"),
    }
    shown = {gate: (unpriced[gate].observed, unpriced[gate].limit) for gate in limits}
    assert shown == {gate: (None, limit) for gate, limit in limits.items()}


def test_a_size_without_a_quote_is_no_price_for_the_collar() -> None:
    assert said(replace(ask(), quote=None))[Gate.PRICE_COLLAR].verdict is Verdict.UNKNOWN


def test_an_entry_never_made_before_shows_the_cooldown_it_was_held_against() -> None:
    assert numbers(said(ask())[Gate.COOLDOWN]) == (None, 1800, None)


def test_equity_of_less_than_a_dollar_is_known() -> None:
    tiny = said(ask(book=book(equity=Decimal("0.5"))))
    assert tiny[Gate.DAILY_LOSS].verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("there", "wanted", "closes"),
    [
        ("10", "10", "10"),
        ("4", "10", "4"),
        ("10", "4", "4"),
        ("0.25", "0.5", "0.25"),
        ("0.5", "0.25", "0.25"),
        ("-0.25", "-0.5", "0.25"),
        ("-3", "5", "0"),
        ("3", "-5", "0"),
        ("0", "5", "0"),
        ("0", "-5", "0"),
    ],
)
def test_only_what_both_hold_on_the_same_side_can_be_closed(there: str, wanted: str, closes: str) -> None:
    held = desk(net={"AAPL": Decimal(there)})
    assert closable_quantity(held, "AAPL", Decimal(wanted)) == Decimal(closes)
    decision = check_still_held(held, "AAPL", Decimal(wanted))
    shown = (decision.gate, decision.observed, decision.limit)
    assert shown == (Gate.POSITIONED, Decimal(closes), abs(Decimal(wanted)))
    assert decision.reason is (None if Decimal(closes) else Reason.POSITION_GONE)


def test_a_symbol_that_the_broker_does_not_name_is_not_held() -> None:
    assert closable_quantity(desk(now=NOW), "AAPL", Decimal(5)) == 0


def test_a_limit_is_shown_in_the_unit_that_its_name_ends_in() -> None:
    names = list(LIMITS.model_dump())
    # No two limits are equal, so the number that a gate shows tells which one it read.
    told_apart = LIMITS.model_copy(update={name: 1_000_000 + place for place, name in enumerate(names)})
    units = {}
    for gate, _, asked, *_ in REFUSALS:
        account = replace(asked.account, limits=told_apart)
        strategy = replace(asked.strategy, account=account, limits=told_apart)
        decision = said(replace(asked, strategy=strategy))[gate]
        if isinstance(decision.limit, Decimal | float | int) and 0 <= decision.limit - 1_000_000 < len(names):
            units[names[int(decision.limit) - 1_000_000]] = decision.units[1]
    assert len(units) > 20
    for name, unit in units.items():
        wanted = next((unit for end, unit in UNIT_BY_END.items() if name.endswith(end)), None)
        assert unit is wanted if wanted else unit not in (Unit.SECONDS, Unit.USD), f"limits.{name} is shown in {unit}"
