"""Entries whose line needs flow: without the fetch of their slot they are refused with that reason, and use no slot."""

from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.state import configure


def test_entries_that_need_flow_are_refused_before_the_fetch_without_using_the_slot(trader: Bot) -> None:
    configure(trader.folder, "timetable: {trade-once: {when: every 5m from open+2m until close-15m, needs: [flow]}}\n")
    assert trader.says("exchange", "tick", "5m").code == 0
    shows(trader.says("trade-once"), 0, "STAGE_FAILED")
    assert "STAGE_FAILED" in trader.says("why-no-orders").out
    assert trader.says("fetch-flow").code == 0
    assert "STAGE_FAILED" not in trader.says("trade-once").out
