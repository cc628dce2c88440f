"""The time that screens measure ages at."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from commands.notify.delivery import evidence_time
from commands.shared.bot_records import age_reference_time
from tests.kit.values import NOW
from tradebot.app.wiring import App
from tradebot.model.trading import Mode

DAY = timedelta(days=1)


def bot(mode: Mode) -> App:
    """Return as much of a bot as the time is asked of: it has compared its books now."""
    ledger = SimpleNamespace(books_opened_at=lambda: NOW - DAY, last_reconcile=lambda: SimpleNamespace(at=NOW))
    return cast(App, SimpleNamespace(mode=mode, ledger_view=ledger, existing_facts=None))


@pytest.mark.parametrize(("mode", "machine", "shown"), [
    (Mode.PAPER, NOW + DAY, NOW + DAY), (Mode.PAPER, NOW - DAY, NOW),
    (Mode.LIVE, NOW - DAY, NOW), (Mode.SANDBOX, NOW + DAY, NOW),
])  # fmt: skip
def test_nothing_that_was_recorded_has_an_age_below_nought(
    mode: Mode, machine: datetime, shown: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Machine(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return machine

    monkeypatch.setattr("commands.shared.bot_records.datetime", Machine)
    monkeypatch.setattr("commands.notify.delivery.datetime", Machine)
    assert age_reference_time(bot(mode), (NOW, None, NOW - DAY)) == shown
    # Notices go by a clock that never stands still.
    assert evidence_time(bot(mode)) == (NOW if mode is Mode.SANDBOX else machine)
    assert machine.tzinfo is UTC
