"""Counting where candidates ended in the store gives what reading them one by one gives."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.kit.rows import DAY, NOW
from tests.kit.values import candidate
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job, RefusalGroup
from tradebot.model.struct_tools import replace

DAY_LATER = DAY + timedelta(days=1)


def said(gate: Gate, reason: Reason | None, about: str = "") -> Decision:
    return Decision(gate, Verdict.FAIL if reason else Verdict.PASS, reason, about=about)


PLACE = (said(Gate.STRATEGY, None, "setup"), said(Gate.STRATEGY, Reason.COOLDOWN, "place"))
COOLING = (said(Gate.STRATEGY, None, "setup"), replace(said(Gate.COOLDOWN, Reason.COOLDOWN), verdict=Verdict.UNKNOWN))
SENT = (said(Gate.STRATEGY, None, "setup"), said(Gate.SEND, None))
LOST = (said(Gate.SEND, Reason.VENUE_UNKNOWN),)


def cycle(number: int, *records: CandidateRecord) -> CycleRecord:
    day = DAY if number < 2 else DAY_LATER
    return CycleRecord(
        f"c{number}", Job.TRADE_ONCE, day, f"s{number}", NOW + timedelta(hours=number), "sandbox", records, None
    )


@pytest.fixture
def facts(tmp_path: Path) -> Iterator[SqliteFacts]:
    store = SqliteFacts(tmp_path, MemoryEvents(), NOW)
    of_other = CandidateRecord(replace(candidate("AAPL"), strategy="other"), PLACE)
    store.record(cycle(0, *(CandidateRecord(candidate(symbol), PLACE) for symbol in ("AAPL", "AAPL", "MSFT"))))
    store.record(cycle(1, CandidateRecord(candidate("AAPL"), COOLING), of_other))
    store.record(
        cycle(2, CandidateRecord(candidate("MSFT"), SENT, "id-1"), CandidateRecord(candidate("KO"), LOST, "id-2"))
    )
    yield store
    store.close()


def test_candidates_count_by_symbol_and_first_question_that_did_not_pass(facts: SqliteFacts) -> None:
    seen = facts.ended(Job.TRADE_ONCE)
    assert (seen.passes, seen.first_at, seen.last_at) == (3, NOW, NOW + timedelta(hours=2))
    assert Counter(seen.ends) == Counter(
        [
            RefusalGroup("AAPL", Gate.STRATEGY, "place", 1, None, 3),
            RefusalGroup("AAPL", Gate.COOLDOWN, "", 1, None, 1),
            RefusalGroup("MSFT", Gate.STRATEGY, "place", 1, None, 1),
            RefusalGroup("MSFT", None, "", 0, None, 1),
            RefusalGroup("KO", Gate.SEND, "", 0, "id-2", 1),
        ]
    )


def test_only_the_passes_of_a_span_or_the_candidates_of_a_strategy_count(facts: SqliteFacts) -> None:
    assert facts.ended(Job.TRADE_ONCE, last=1).passes == 1
    assert facts.ended(Job.TRADE_ONCE, since=NOW + timedelta(hours=1)).passes == 2
    assert facts.ended(Job.TRADE_ONCE, session=DAY).last_at == NOW + timedelta(hours=1)
    assert facts.ended(Job.SCORE) == (0, None, None, ())
    (other,) = facts.ended(Job.TRADE_ONCE, strategy="other").ends
    assert other == RefusalGroup("AAPL", Gate.STRATEGY, "place", 1, None, 1)
