"""The health of signals: judged by what was seen, and never better than that."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

import pytest

from tests.kit.rows import make_cycle
from tests.kit.values import DAY, NOW, SESSION, ago, candidate
from tradebot.judging.evidence import TradingMoment
from tradebot.judging.signal_health import KindEvidence, KindHealth, SignalHealth, signals
from tradebot.model.candidate import Component
from tradebot.model.fact_kind import AnyKind, Breach, CheckedReply, ContractFinding, Drift, NullCounts, Phase
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import kind_of

OPEN = TradingMoment(NOW, SESSION.open, SESSION)
ASLEEP = TradingMoment(NOW, SESSION.open, replace(SESSION, close=ago(7200)))
SHARE = Decimal("0.2")
KIND: AnyKind = replace(kind_of("dark_pool"), fields={"price": "decimal", "code": "text?"})
GONE = ContractFinding(Breach.GONE, "price", 3, "{'size': 3}")
NEW = ContractFinding(Breach.NEW, "mood", 10, "'good'")


def replied(*findings: ContractFinding, symbol: str = "AAPL", rows: int = 10) -> CheckedReply:
    return CheckedReply("dark_pool", symbol, NOW, rows, findings, {"code": 4})


def evidence(**changes: object) -> KindEvidence:
    two = (replied(), replied(symbol="MSFT"))
    seen = KindEvidence(
        KIND, 2, (ago(60), ago(90)), 900, 240, two, received=40, rejected=1, nulls=NullCounts(20, {"code": 8})
    )
    return replace(seen, **changes)  # type: ignore[arg-type]


def health(seen: KindEvidence, moment: TradingMoment = OPEN) -> KindHealth:
    (kind,) = signals(moment, SHARE, (seen,)).kinds
    return kind


def test_signal_is_healthy_if_fresh_complete_and_as_documented() -> None:
    kind = health(evidence())
    assert (kind.state, kind.why, kind.core) == (SignalHealth.HEALTHY, "fresh, complete and as documented", True)
    assert (kind.age_s, kind.limit_s, kind.wanted, kind.answered, kind.rows) == (90.0, 900, 2, 2, 40)
    assert (kind.match_rate, kind.null_rate, kind.bad) == (1.0, 8 / 40, 1)
    assert kind.last_success == ago(60)


def test_bad_rows_count_among_the_rows_of_the_same_replies() -> None:
    kind = health(evidence(received=1_189, foreign=200, rejected=191))
    assert (kind.rows, kind.bad, kind.match_rate) == (1_189, 391, 1 - 200 / 1_189)
    assert kind.why == "391 of 1,189 rows belong to other symbols or can't be read"


def test_too_many_bad_rows_of_alerts_close_entries() -> None:
    alerts = health(evidence(kind=kind_of("flow_alerts"), received=10, foreign=3))
    assert alerts.state is SignalHealth.CRITICAL


MORE_NULLS = (Drift("dark_pool", Breach.NULL, "code", 60, 100, "usually in 3% of the rows"),)
Row = tuple[dict[str, object], SignalHealth, str]
CASES: list[Row] = [
    ({"at": (ago(60), ago(901))}, SignalHealth.CRITICAL, "too old to be used: 901 s, above the limit of 900 s"),
    (
        {"at": (), "replies": (), "failed": 2, "failure": "no"},
        SignalHealth.CRITICAL,
        "2 calls failed and none succeeded: no",
    ),
    ({"at": (), "replies": ()}, SignalHealth.UNKNOWN, "it was never fetched"),
    ({"replies": (replied(GONE),)}, SignalHealth.CRITICAL, "the field price is gone in 3 of 10 rows"),
    ({"replies": (replied(GONE), replied())}, SignalHealth.DEGRADED, "the field price is gone in 3 of 20 rows"),
    ({"replies": (replied(NEW),)}, SignalHealth.DEGRADED, "a new field mood in 10 of 10 rows"),
    ({"more_nulls": MORE_NULLS}, SignalHealth.DEGRADED, "code is null in 60 of 100 rows"),
    ({"at": (ago(60),)}, SignalHealth.DEGRADED, "1 of 2 calls never answered"),
    ({"failed": 1, "failure": "no"}, SignalHealth.DEGRADED, "1 call failed since the last reply: no"),
    ({"at": (ago(60), ago(481))}, SignalHealth.DEGRADED, "late: 481 s old, and it should be fetched every 240 s"),
    ({"foreign": 8, "rejected": 1}, SignalHealth.DEGRADED, "9 of 40 rows belong to other symbols or can't be read"),
    ({"replies": ()}, SignalHealth.UNKNOWN, "no reply contains a row, so there is nothing to judge"),
]


@pytest.mark.parametrize(("changes", "state", "why"), CASES)
def test_first_fault_of_a_signal_decides_its_state(changes: dict[str, object], state: SignalHealth, why: str) -> None:
    kind = health(evidence(**changes))
    assert (kind.state, kind.why) == (state, why)


@pytest.mark.parametrize(("changes", "state", "why"), CASES)
def test_no_signal_is_healthy_while_the_market_sleeps(
    changes: dict[str, object], state: SignalHealth, why: str
) -> None:
    kind = health(evidence(**changes), ASLEEP)
    assert kind.state is not SignalHealth.HEALTHY
    assert kind.idle is (kind.state is SignalHealth.UNKNOWN)
    if state is not SignalHealth.CRITICAL:
        assert kind.idle


def test_daily_signal_is_judged_while_the_market_sleeps() -> None:
    daily = replace(KIND, phase=Phase.EVENING)
    assert health(evidence(kind=daily), ASLEEP).state is SignalHealth.HEALTHY
    assert health(evidence(kind=daily, at=(ago(7200 + 901),)), ASLEEP).state is SignalHealth.CRITICAL


def test_drift_is_shown_with_an_example() -> None:
    drift, new = health(evidence(replies=(replied(GONE, NEW),))).drifts
    assert (drift.what, drift.example, drift.broken) == (
        "dark_pool: the field price is gone in 3 of 10 rows", "{'size': 3}", True,
    )  # fmt: skip
    assert not new.broken


def scored(*values: float | None, at: datetime = NOW) -> CycleRecord:
    parts: Sequence[Component] = [Component("dark_pool", value, 0.2, "") for value in values]
    records = tuple(CandidateRecord(replace(candidate("AAPL"), components=(part,)), ()) for part in parts)
    return CycleRecord("score.1", Job.SCORE, DAY, "open", at, "sandbox", records)


@pytest.mark.parametrize(
    ("changes", "values", "state", "why"),
    [
        ({}, (0.5, None), SignalHealth.HEALTHY, "used for 1 of 2 symbols"),
        ({}, (None, None), SignalHealth.DEGRADED, "absent for all of 2 symbols, although its data was fetched"),
        ({"failed": 1}, (0.5,), SignalHealth.DEGRADED, "dark_pool: 1 call failed since the last reply: "),
        ({"replies": (replied(GONE),)}, (0.5,), SignalHealth.CRITICAL, "dark_pool: the field price is gone in 3 of"),
        ({"replies": ()}, (None,), SignalHealth.UNKNOWN, "dark_pool: no reply contains a row"),
    ],
)
def test_component_is_judged_by_what_it_reads_and_by_its_use(
    changes: dict[str, object], values: tuple[float | None, ...], state: SignalHealth, why: str
) -> None:
    seen, reads = (evidence(**changes),), {"dark_pool": ("dark_pool",)}
    (component,) = signals(OPEN, SHARE, seen, scored(*values), reads).components
    assert component.state is state
    assert component.why.startswith(why)
    assert (component.used, component.symbols) == (sum(v is not None for v in values), len(values))


def test_findings_count_only_what_needs_a_person() -> None:
    old = evidence(at=(ago(3000),))
    assert signals(OPEN, SHARE, (evidence(), old, evidence(at=(), replies=()))).findings == 2
    assert signals(ASLEEP, SHARE, (evidence(), old)).findings == 0
    assert signals(OPEN, SHARE, ()).findings == 0


def test_pass_without_candidates_judges_no_component() -> None:
    empty = replace(make_cycle("c"), candidates=())
    assert signals(OPEN, SHARE, (evidence(),), empty).components == ()
