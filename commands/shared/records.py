"""Read the data for views from the bot's own records, never from the broker."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.model.record import CycleRecord
    from tradebot.model.totals import Totals
    from tradebot.views.holdings import Holding, Priced


def last_passes(app: "App") -> "Sequence[CycleRecord]":
    """Return the last recorded pass of exits and of entries, oldest first."""
    from tradebot.model.record import Job

    if app.recorded is None:
        return ()
    facts = app.recorded
    found = [cycle for job in (Job.EVALUATE_EXITS, Job.TRADE_ONCE) for cycle in facts.cycles(job=job, last=1)]
    return sorted(found, key=lambda cycle: cycle.at)


def trading_now(app: "App", times: Iterable[datetime | None]) -> datetime | None:
    """Return the time to measure ages at; in the sandbox, whose clock stands still, the last recorded one."""
    from tradebot.model.trading import Mode

    if app.mode is not Mode.SANDBOX:
        return datetime.now(UTC)
    known = [at for at in (*times, app.ledger_view.books_opened_at()) if at is not None]
    return max(known, default=None)


def held(app: "App", totals: "Totals", priced: "Mapping[str, Priced]", now: datetime | None) -> "tuple[Holding, ...]":
    """Return every open position, foreign ones last."""
    from tradebot.model.position import FOREIGN
    from tradebot.views.holdings import holdings

    ledger = app.ledger_view
    positions = [position for position in totals.positions.values() if position.quantity]
    ours = [(p.strategy, p.symbol, p.opened_at) for p in positions if p.strategy != FOREIGN]
    kept = {(strategy, symbol): found for (strategy, symbol, _), found in ledger.kept(ours).items()}
    return holdings(positions, ledger.acknowledged(), kept, app.rules.exits_of, priced, now)
