"""Slots that nobody ran, summed up by session, job and reason."""

from datetime import date

from tests.kit.values import ACCOUNT, NOW
from tradebot.adapters.memory.ledger import MemoryLedger
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.trading import SlotClaim, as_missed
from tradebot.views.why_no_orders import missed_slots

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
    assert missed_slots(ledger.slot_claims(DAY))[0].meaning == REASONS[Reason.ASLEEP].meaning


def test_old_row_without_reason_reads_as_a_late_entry() -> None:
    claim = SlotClaim("trade-once", DAY, "open+2m", "serve me/1, as missed", NOW, won=False)
    assert claim.missed is Reason.SLOT_MISSED
    assert SlotClaim("trade-once", DAY, "open+2m", "serve me/1", NOW, won=False).missed is None
