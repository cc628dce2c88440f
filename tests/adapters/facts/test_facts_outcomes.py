"""What became of a symbol is the same whether its candidates are read in full or only by what refused them."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from tests.kit.rows import DAY, NOW
from tests.kit.values import candidate
from tests.views.test_why_no_orders_symbol_span import seen_in
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.facts.pass_rows import write_passes
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.model.struct_tools import replace
from tradebot.views.explain import settled_outcome, with_outcomes

JOB, SYMBOLS, PASSES = Job.TRADE_ONCE, ("AAPL", "MSFT", "NVDA"), 60
OBSERVED = (None, "text", 0.0, 0.1, Decimal("2.50"), 400)
SENT = Decision(Gate.SEND, Verdict.PASS, Reason.SENT)
LAST = (SENT, Decision(Gate.SEND, Verdict.FAIL, Reason.VENUE_UNKNOWN, "no reply"))


def _answer(draw: Random) -> Decision:
    if draw.random() < 0.7:
        return Decision(Gate.PERMISSION, Verdict.PASS, None, 1, 2)
    gate, about, unit = draw.choice(((Gate.SCORE, "", ""), (Gate.STRATEGY, "setup", "usd")))
    verdict, reason = draw.choice(tuple(Verdict)[1:]), draw.choice((Reason.FLOW_STALE, Reason.SCORE_BELOW_MIN))
    return Decision(gate, verdict, reason, draw.choice(OBSERVED), draw.choice((None, 0.25)), 5.0, about, unit)


def _record(draw: Random, name: str) -> CandidateRecord:
    wanted = replace(candidate(draw.choice(SYMBOLS)), strategy=draw.choice(("flow", "other")))
    answers = tuple(_answer(draw) for _ in range(draw.randrange(5)))
    sent = all(answer.passed for answer in answers)
    return CandidateRecord(wanted, (*answers, draw.choice(LAST)) if sent else answers, name if sent else None)


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[SqliteFacts]:
    draw = Random(47)  # noqa: S311 -- no secret
    cycles = [
        CycleRecord(
            f"c{number}", JOB, DAY + timedelta(days=number % 3), f"s{number}", NOW + timedelta(days=number % 3),
            "sandbox", tuple(_record(draw, f"{number}-{place}") for place in range(draw.randrange(7))),
        )
        for number in range(PASSES)
    ]  # fmt: skip
    write_passes(tmp_path, cycles)
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    yield store
    store.close()


def _was_found(order: str) -> bool:
    return order.endswith("0")


@pytest.mark.parametrize(
    "span", [(None, None, -1), (DAY, None, -1), (None, NOW + timedelta(days=1), -1), (None, None, 7)]
)
def test_outcomes_are_those_of_candidates_read_in_full(
    facts: SqliteFacts, span: tuple[date | None, datetime | None, int]
) -> None:
    session, since, last = span
    orders = unknown = 0
    for symbol in SYMBOLS:
        passes, outcomes = facts.outcomes(JOB, symbol, session=session, since=since, last=last)
        full = facts.of_span(JOB, symbol=symbol, session=session, since=since, last=last)
        assert (passes, outcomes) == seen_in(*full, symbol=symbol)
        known = [settled_outcome(one, _was_found) for one in outcomes]
        assert known == list(seen_in(*with_outcomes(full, _was_found), symbol=symbol).outcomes)
        orders += sum(one.terminal is None for one in outcomes)
        unknown += list(outcomes) != known
    assert orders, "some were sent"
    assert unknown, "some were found later"


def test_symbol_without_candidates_and_a_span_without_passes_have_no_outcome(facts: SqliteFacts) -> None:
    assert facts.outcomes(JOB, "TSLA").outcomes == ()
    assert len(facts.outcomes(JOB, "TSLA").passes) == PASSES
    assert facts.outcomes(JOB, "NVDA", session=DAY - timedelta(days=9)) == ((), ())
