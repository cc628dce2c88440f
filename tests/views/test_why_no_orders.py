"""Slots that nobody ran, summed up by session, job and reason."""

from datetime import date

from tests.kit.values import ACCOUNT, NOW
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.decision import Gate
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import EndedPasses, RefusalGroup
from tradebot.model.trading import SlotClaim, as_missed
from tradebot.views.why_no_orders import GateCount, by_symbol, missed_slots

DAY = date(2026, 11, 16)


def test_missed_slots_are_counted_by_reason_without_other_claims() -> None:
    ledger = MemoryLedger(ACCOUNT)
    ledger.claim_slot("score", DAY, "open+2m", "serve", NOW)
    ledger.miss_slots([("score", DAY, f"open+{n}m") for n in (7, 12)], as_missed("serve", Reason.ASLEEP), NOW)
    ledger.miss_slots([("score", DAY, "open+17m")], as_missed("cron", Reason.NOT_RUNNING), NOW)
    ledger.claim_slot("strategy flow ended", DAY, "open+5m", "serve, as missed", NOW)
    found = [(row.job, row.reason, row.count, row.first, row.last) for row in missed_slots(ledger.slot_claims(DAY))]
    assert found == [
        ("score", Reason.ASLEEP, 2, "open+7m", "open+12m"),
        ("score", Reason.NOT_RUNNING, 1, "open+17m", "open+17m"),
    ]
    # A ledger lists them by their texts, where 10 comes before 9.
    texts = ("close-10m", "close-5m", "open+10m", "open+12m", "open+9m")
    claims = [SlotClaim("score", DAY, slot, as_missed("serve", Reason.ASLEEP), NOW, won=False) for slot in texts]
    assert [(row.first, row.last) for row in missed_slots(claims)] == [("open+9m", "close-5m")]
    assert missed_slots(ledger.slot_claims(DAY))[0].meaning == REASONS[Reason.ASLEEP].meaning


def test_old_row_without_reason_reads_as_a_late_entry() -> None:
    claim = SlotClaim("trade-once", DAY, "open+2m", "serve me/1, as missed", NOW, won=False)
    assert claim.missed_reason is Reason.SLOT_MISSED
    assert SlotClaim("trade-once", DAY, "open+2m", "serve me/1", NOW, won=False).missed_reason is None


ENDS = (
    RefusalGroup("MSFT", Gate.COOLDOWN, "", 4, None, 1),
    RefusalGroup("AAPL", Gate.STRATEGY, "place", 2, None, 2),
    RefusalGroup("AAPL", Gate.STRATEGY, "setup", 1, None, 1),
    RefusalGroup("AAPL", None, "", 0, None, 1),
    RefusalGroup("AAPL", Gate.SEND, "", 9, "one", 1),
)


def test_each_candidate_counts_at_the_first_question_that_refused_it() -> None:
    found = by_symbol(EndedPasses(2, NOW, NOW, ENDS), lambda name: False)
    assert found.gates == (
        GateCount("setup", 6, 1), GateCount("place", 5, 2), GateCount("cooldown", 3, 1), GateCount("send", 2, 1),
    )  # fmt: skip
    assert [(each.symbol, each.candidates, each.orders, each.refused) for each in found.symbols] == [
        ("AAPL", 5, 1, {"place": 2, "send": 1, "setup": 1}),
        ("MSFT", 1, 0, {"cooldown": 1}),
    ]
    assert (found.passes, found.candidates, found.orders) == (2, 6, 1)


def test_order_that_the_venue_was_found_to_have_counts_as_sent_and_no_candidates_have_no_gates() -> None:
    found = by_symbol(EndedPasses(2, NOW, NOW, ENDS), lambda name: name == "one")
    assert (found.orders, [each.gate for each in found.gates]) == (2, ["setup", "place", "cooldown"])
    found = by_symbol(EndedPasses(1, NOW, NOW, ()), lambda name: False, "nothing kept")
    assert (found.passes, found.candidates, found.gates, found.symbols) == (1, 0, (), ())
    assert found.left_out == "nothing kept"
