"""Folds over what was recorded: every candidate ends at one reason, and the verdict follows from them."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, NOW, ago, candidate, there
from tradebot.model.bar import WaitingStrategy
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import REASONS, Cause, Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, StrategyRefusal
from tradebot.model.sentences import plain, pluralize
from tradebot.model.struct_tools import replace
from tradebot.views.explain import FROM_NOTHING, funnel, gate_paths_of, of_strategy, why_no_orders
from tradebot.views.explain import NoOrdersAnswer as Why

PASSED = Decision(Gate.PERMISSION, Verdict.PASS)


def failed(
    reason: Reason, observed: Decimal | float | str | None = None, limit: Decimal | float | None = None
) -> Decision:
    return Decision(Gate.SCORE, Verdict.FAIL, reason, observed, limit)


def record(symbol: str, *decisions: Decision) -> CandidateRecord:
    return CandidateRecord(candidate(symbol), (PASSED, *decisions))


def cycle(*records: CandidateRecord, job_decision: Decision | None = None) -> CycleRecord:
    return CycleRecord("id", Job.TRADE_ONCE, DAY, "open+2m", NOW, "sandbox", records, job_decision)


def ended(*reasons: Reason) -> CycleRecord:
    return cycle(*(record(f"S{n}", failed(reason)) for n, reason in enumerate(reasons)))


decisions = st.one_of(
    st.just(PASSED),
    st.builds(
        Decision,
        st.sampled_from(Gate),
        st.sampled_from([Verdict.FAIL, Verdict.UNKNOWN]),
        st.sampled_from(Reason),
        st.one_of(st.none(), st.floats(-9, 9), st.decimals(-9, 9), st.text(max_size=3)),
        st.one_of(st.none(), st.floats(-9, 9), st.decimals(-9, 9)),
    ),
)
records = st.lists(
    st.builds(
        lambda symbol, found: CandidateRecord(candidate(symbol), tuple(found)),
        st.sampled_from(["AAPL", "MSFT"]),
        st.lists(decisions, max_size=4),
    ),
    max_size=5,
)
cycles = st.lists(
    st.builds(
        lambda found, refused: cycle(*found, job_decision=failed(refused) if refused else None),
        records,
        st.one_of(st.none(), st.sampled_from(Reason)),
    ),
    max_size=5,
)


@given(seen=cycles)
def test_candidates_equal_orders_plus_the_sum_of_reasons(seen: list[CycleRecord]) -> None:
    told = funnel(seen)
    refused = sum(c.job_decision is not None for c in seen)
    assert told.candidates == sum(len(c.candidates) for c in seen)
    assert told.candidates == told.orders + told.refused_candidates.total()
    assert told.candidates + refused == told.orders + sum(row.count for row in told.reasons)
    assert sum(told.passes_by_reason.values()) == refused
    assert (told.passes, told.refused_passes) == (len(seen), refused)
    assert len({row.reason for row in told.reasons}) == len(told.reasons)
    for row in told.reasons:
        assert row.cause is REASONS[row.reason].cause
        assert row.remedy in (REASONS[row.reason].remedy, FROM_NOTHING)


@given(seen=cycles)
def test_verdict_is_traded_exactly_if_there_were_orders_and_nothing_was_broken(seen: list[CycleRecord]) -> None:
    told = why_no_orders(seen)
    broken = any(row.cause is Cause.BROKEN for row in told.funnel.reasons)
    assert (told.verdict is Why.TRADED) == (bool(told.funnel.orders) and not broken)
    assert told.sentence
    assert told.remedy


def test_reasons_are_sorted_by_frequency_each_with_its_nearest_miss_and_a_first_failure_counts() -> None:
    weak: dict[str, float | str] = {"FAR": 0.05, "NEAR": 0.2, "WORDS": "none"}
    rows = [
        record(name, failed(Reason.SCORE_BELOW_MIN, seen, 0.25), failed(Reason.HALTED)) for name, seen in weak.items()
    ]
    told = funnel([cycle(record("BUSY", failed(Reason.ORDER_WORKING)), *rows)])
    first, other = told.reasons
    assert [(row.reason, row.count) for row in told.reasons] == [(Reason.SCORE_BELOW_MIN, 3), (Reason.ORDER_WORKING, 1)]
    nearest = there(first.nearest)
    assert (nearest.symbol, nearest.observed, nearest.limit) == ("NEAR", 0.2, 0.25)
    assert nearest.distance == pytest.approx(0.2)
    assert other.nearest is None


def test_target_that_is_held_exactly_missed_nothing() -> None:
    def reached(held: str, wanted: str) -> Decision:
        return Decision(Gate.TARGET, Verdict.FAIL, Reason.TARGET_REACHED, Decimal(held), Decimal(wanted))

    told = funnel([cycle(record("NONE", reached("0", "0")), record("NEAR", reached("579.03", "579.34")))])
    assert there(told.reasons[0].nearest).symbol == "NEAR"
    assert funnel([cycle(record("NONE", reached("0", "0")))]).reasons[0].nearest is None
    assert reached("0", "0").is_nonzero is False


def test_decision_that_ends_a_candidate_must_have_a_reason() -> None:
    with pytest.raises(AssertionError, match="without a reason"):
        funnel([cycle(record("AAPL", Decision(Gate.SCORE, Verdict.FAIL)))])


@pytest.mark.parametrize(
    ("reasons", "verdict", "decided_by"),
    [
        ([Reason.HALTED, Reason.HALTED, Reason.FLOW_STALE], Why.BROKEN, Reason.FLOW_STALE),
        ([Reason.SCORE_BELOW_MIN, Reason.COOLDOWN, Reason.HALTED], Why.BLOCKED, Reason.HALTED),
        ([Reason.QUOTE_MISSING], Why.UNKNOWN, Reason.QUOTE_MISSING),
        # What is broken is never covered by what is idle by design, however many that is.
        ([*[Reason.SCORE_BELOW_MIN] * 9, Reason.FLOW_STALE], Why.BROKEN, Reason.FLOW_STALE),
    ],
)
def test_verdict_and_remedy_follow_from_the_reason(reasons: list[Reason], verdict: Why, decided_by: Reason) -> None:
    told = why_no_orders([ended(*reasons)])
    assert told.verdict is verdict
    assert told.remedy == REASONS[decided_by].remedy
    assert f"of {pluralize(len(reasons), 'candidate')} ended at {decided_by}" in told.sentence


BROKEN = StrategyRefusal("mine", Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, "KeyError: 'x'"))
BLAMED = f"Strategy mine is broken: STRATEGY_FAILED: {REASONS[Reason.STRATEGY_FAILED].meaning} It said: KeyError: 'x'"


@pytest.mark.parametrize(
    ("seen", "verdict", "before"),
    [
        (ended(*[Reason.CLUSTER_TOO_SMALL] * 20), Why.BROKEN, ""),
        (ended(*[Reason.HALTED] * 3), Why.BROKEN, ""),
        (cycle(record("AAPL")), Why.BROKEN, "1 of 2 candidates became an order. "),
    ],
    ids=["the others are idle", "the others are blocked", "the others traded"],
)
def test_strategy_that_raised_is_blamed_beside_the_others(seen: CycleRecord, verdict: Why, before: str) -> None:
    told = why_no_orders([replace(seen, refused_strategies=(BROKEN,))])
    assert (told.verdict, told.sentence) == (verdict, before + BLAMED)
    assert told.remedy == REASONS[Reason.STRATEGY_FAILED].remedy


BAD = ((Reason.FLOW_MISSING, Why.BROKEN), (Reason.HALTED, Why.BLOCKED), (Reason.QUOTE_STALE, Why.UNKNOWN),
       (Reason.COOLDOWN, Why.IDLE))  # fmt: skip


@pytest.mark.parametrize("traded", [False, True])
@pytest.mark.parametrize("present", list(product([0, 1, 3], repeat=4)))
def test_verdict_is_never_weaker_than_the_worst_of_what_happened(present: tuple[int, ...], traded: bool) -> None:
    """Broken, refused, stale and unwanted in all combinations, each once or as the majority, with an order and not."""
    lost = [record(f"{reason}{n}", failed(reason, 1500)) for (reason, _), times in zip(BAD, present, strict=True)
            for n in range(times)]  # fmt: skip
    told = why_no_orders([cycle(*lost, *([record("SENT")] if traded else []))])
    worst = next((verdict for (_, verdict), times in zip(BAD, present, strict=True) if times), Why.UNKNOWN)
    assert told.verdict is (Why.TRADED if traded and worst is not Why.BROKEN else worst)
    assert ("QUOTE_STALE: the oldest was 25 min old." in told.sentence) is bool(present[2])
    assert not (told.verdict is not Why.IDLE and told.remedy == FROM_NOTHING)


def test_next_reason_of_most_candidates_is_shown_with_its_remedy() -> None:
    weak, wide = failed(Reason.CLUSTER_TOO_SMALL), failed(Reason.SPREAD_TOO_WIDE)
    many = [record(f"S{n}", weak, wide, failed(Reason.SIZE_BELOW_ONE)) for n in range(3)]
    told = why_no_orders([cycle(*many, record("T", weak), record("U", wide))])
    remedy = REASONS[Reason.SPREAD_TOO_WIDE].remedy
    assert told.then == f"3 of these 4 would be refused next, by SPREAD_TOO_WIDE. {remedy}"
    assert why_no_orders([ended(Reason.CLUSTER_TOO_SMALL)]).then is None
    alone = why_no_orders([cycle(record("S", weak, wide))])
    assert alone.then == f"It would be refused next, by SPREAD_TOO_WIDE. {remedy}"


@pytest.mark.parametrize(("observed", "helps"), [((0, 0), False), ((0, 1), True)])
def test_no_setting_helps_without_any_signal_also_for_the_next_reason(observed: tuple[int, int], helps: bool) -> None:
    weak = [failed(Reason.CLUSTER_TOO_SMALL, each, 2) for each in observed]
    first = why_no_orders([cycle(*(record("AAPL", each) for each in weak))])
    later = why_no_orders([cycle(*(record("AAPL", failed(Reason.COOLDOWN), each) for each in weak))])
    assert later.then == f"All 2 would be refused next, by CLUSTER_TOO_SMALL. {first.remedy}"
    assert first.remedy == (REASONS[Reason.CLUSTER_TOO_SMALL].remedy if helps else FROM_NOTHING)


def test_wholly_refused_passes_are_explained_as_such() -> None:
    closed = Decision(Gate.JOB, Verdict.FAIL, Reason.MARKET_CLOSED, "opens tomorrow")
    told = why_no_orders([cycle(job_decision=closed), cycle(job_decision=closed)])
    assert (told.verdict, told.sentence) == (
        Why.IDLE, "Each pass ended at MARKET_CLOSED: The session is closed.",
    )  # fmt: skip


def test_wholly_refused_passes_are_no_candidates() -> None:
    closed = Decision(Gate.JOB, Verdict.FAIL, Reason.MARKET_CLOSED, "opens tomorrow")
    broken = Decision(Gate.JOB, Verdict.FAIL, Reason.VENUE_UNREACHABLE, "no route")
    idle = ended(Reason.COOLDOWN, Reason.COOLDOWN)
    told = why_no_orders([idle, cycle(job_decision=closed), cycle(job_decision=closed), cycle()])
    assert (told.funnel.candidates, told.funnel.refused_passes) == (2, 2)
    assert told.funnel.passes_by_reason == {Reason.MARKET_CLOSED: 2}
    assert why_no_orders([idle, cycle(job_decision=broken)]).sentence.startswith(
        "1 of 2 passes ended at VENUE_UNREACHABLE: "
    )


def test_verdict_is_unknown_if_nothing_was_recorded() -> None:
    assert (why_no_orders([]).verdict, why_no_orders([]).remedy) == (Why.UNKNOWN, "tradebot trade-once")
    assert (why_no_orders([cycle()]).verdict, why_no_orders([cycle()]).remedy) == (Why.UNKNOWN, "tradebot score")


def test_way_of_a_symbol_has_every_pass_that_looked_at_it() -> None:
    first = replace(cycle(record("AAPL"), record("MSFT")), slot="open+2m", at=ago(300))
    second = cycle(record("MSFT", failed(Reason.HALTED)))
    third = replace(cycle(record("AAPL", failed(Reason.COOLDOWN))), slot="open+12m")
    ways = gate_paths_of("AAPL", [first, second, third])
    assert [(way.slot, way.record.terminal) for way in ways] == [
        ("open+2m", None), ("open+12m", failed(Reason.COOLDOWN)),
    ]  # fmt: skip


def test_cancels_of_working_orders_are_neither_candidates_nor_orders() -> None:
    close = record("AAPL")
    cancel = replace(close, candidate=replace(close.candidate, source="cancel"))
    seen = [cycle(cancel, close, record("MSFT", failed(Reason.COOLDOWN)))]
    told = funnel(seen)
    assert (told.candidates, told.orders) == (2, 1)
    assert [way.record for way in gate_paths_of("AAPL", seen)] == [close]


def test_numbers_are_written_in_plain_form() -> None:
    values = (None, "opens 14:30", 3, 0.25, 0.0, 100.0, Decimal("0.123456"), Decimal("12345.6"))
    assert [plain(value) for value in values] == ["", "opens 14:30", "3", "0.25", "0", "100", "0.1235", "12,346"]


names, MISSING = st.sampled_from(["flow", "momentum", "sweeps"]), failed(Reason.BARS_MISSING, 3, 127)
shared_cycles = st.lists(
    st.builds(
        lambda found, owners, refused: replace(
            cycle(
                *(replace(r, candidate=replace(r.candidate, strategy=o)) for r, o in zip(found, owners, strict=False))
            ),
            refused_strategies=tuple(refused),
        ),
        records,
        st.lists(names, min_size=5, max_size=5),
        st.lists(st.builds(StrategyRefusal, names, st.just(MISSING), st.sampled_from([None, "AAPL"])), max_size=3),
    ),
    max_size=5,
)


@given(seen=shared_cycles)
def test_funnels_by_strategy_add_up_to_the_whole(seen: list[CycleRecord]) -> None:
    told = funnel(seen)
    assert sum(part.candidates for part in told.by_strategy) == told.candidates
    assert sum(part.orders for part in told.by_strategy) == told.orders
    for row in told.reasons:
        assert sum(part.reasons.get(row.reason, 0) for part in told.by_strategy) == row.count
    for part in told.by_strategy:
        assert part.candidates == part.orders + sum(part.reasons.values())
        alone = funnel(of_strategy(part.strategy, seen))
        assert (alone.candidates, alone.orders, alone.by_strategy) == (part.candidates, part.orders, (part,))


def test_passes_of_one_strategy_show_only_its_own_wait() -> None:
    waiting = (WaitingStrategy("flow", None), WaitingStrategy("momentum", None))
    (seen,) = of_strategy("momentum", [replace(cycle(record("AAPL")), waiting=waiting)])
    assert seen.waiting == waiting[1:]


def test_left_out_symbol_is_counted_without_blaming_the_strategy() -> None:
    left_out = StrategyRefusal("momentum", MISSING, "XLC")
    told = why_no_orders([replace(cycle(record("AAPL")), refused_strategies=(left_out,))])
    assert (told.verdict, "is broken" in told.sentence) == (Why.TRADED, False)
    assert [(part.strategy, part.candidates) for part in told.funnel.by_strategy] == [("flow", 1), ("momentum", 1)]


@pytest.mark.parametrize("lacking", [Reason.APPROVAL_WAITING, Reason.APPROVAL_EXPIRED])
def test_entry_that_lacks_only_a_yes_decides_unless_something_is_broken(lacking: Reason) -> None:
    others = [Reason.CLUSTER_TOO_SMALL] * 19
    told = why_no_orders([ended(*others, lacking)])
    assert told.sentence.startswith(f"1 of 20 candidates ended at {lacking}: {REASONS[lacking].meaning}")
    assert told.remedy == REASONS[lacking].remedy
    assert "approv" in told.remedy
    assert why_no_orders([ended(*others, lacking, Reason.PASS_FAILED)]).verdict is Why.BROKEN


FALLEN = Decision(Gate.MAX_DRAWDOWN, Verdict.FAIL, Reason.DRAWDOWN_STAYS, Decimal("0.1234"), Decimal("0.1"))
SHUT = "Entries are blocked (DRAWDOWN_STAYS, 12.34% against 10.00%)"
TOLD, DECIDE = f"{SHUT}: {REASONS[Reason.DRAWDOWN_STAYS].meaning}", REASONS[Reason.DRAWDOWN_STAYS].remedy
ALL_OF = f"1 of 1 candidate ended at HALTED: {REASONS[Reason.HALTED].meaning} {TOLD}"


@pytest.mark.parametrize(
    ("seen", "verdict", "sentence", "remedy", "then"),
    [
        (ended(Reason.COOLDOWN), Why.BLOCKED,
         f"{TOLD} 1 of 1 candidate ended at COOLDOWN: {REASONS[Reason.COOLDOWN].meaning}", DECIDE, None),
        (cycle(), Why.BLOCKED, f"{TOLD} The strategy proposed nothing.", DECIDE, None),
        (cycle(record("AAPL")), Why.BLOCKED, f"{TOLD} 1 of 1 candidate became an order.", DECIDE, None),
        (ended(Reason.HALTED), Why.BLOCKED, ALL_OF, REASONS[Reason.HALTED].remedy, DECIDE),
        (replace(cycle(), refused_strategies=(BROKEN,)), Why.BROKEN, f"{BLAMED} {TOLD}",
         REASONS[Reason.STRATEGY_FAILED].remedy, DECIDE),
        (ended(Reason.DRAWDOWN_STAYS), Why.BLOCKED,
         f"1 of 1 candidate ended at DRAWDOWN_STAYS: {REASONS[Reason.DRAWDOWN_STAYS].meaning} {SHUT}.", DECIDE, None),
    ],
    ids=["idle", "nothing proposed", "a close was sent", "halted", "broken", "told already"],
)  # fmt: skip
def test_limit_that_closes_entries_blocks_whatever_else_refused_them(
    seen: CycleRecord, verdict: Why, sentence: str, remedy: str, then: str | None
) -> None:
    told = why_no_orders([replace(seen, closed=(FALLEN,))])
    assert (told.verdict, told.sentence, told.remedy, told.then) == (verdict, sentence, remedy, then)


def test_limit_that_closed_entries_counts_until_an_order_was_sent_after_it() -> None:
    shut, opened = replace(ended(Reason.COOLDOWN), closed=(FALLEN,)), ended(Reason.COOLDOWN)
    assert why_no_orders([shut, opened]).verdict is Why.BLOCKED
    assert why_no_orders([shut, cycle(record("AAPL"))]).verdict is Why.TRADED


def test_each_limit_that_closes_entries_is_told_once_as_the_last_pass_saw_it() -> None:
    floor = Decision(Gate.EQUITY_FLOOR, Verdict.FAIL, Reason.EQUITY_BELOW_FLOOR, Decimal(79_000), Decimal(80_000))
    streak = Decision(Gate.LOSS_STREAK, Verdict.FAIL, Reason.LOSS_STREAK, 4, 4)
    before = replace(FALLEN, observed=Decimal("0.11"))
    told = why_no_orders([replace(cycle(), closed=(before,)), replace(cycle(), closed=(FALLEN, floor, streak))])
    said = [part.partition(")")[0] for part in told.sentence.split("Entries are blocked (")[1:]]
    assert said == [
        "DRAWDOWN_STAYS, 12.34% against 10.00%",
        "EQUITY_BELOW_FLOOR, 79,000 USD against 80,000 USD",
        "LOSS_STREAK, 4 round trips against 4 round trips",
    ]
