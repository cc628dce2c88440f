"""Record the account's value at a session's close, from a later comparison."""

from typing import TYPE_CHECKING

from tradebot.model.record import AT_CLOSE, CycleRecord, Job, Mark
from tradebot.ports.world import Call
from tradebot.timetable.sessions import session_of

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.reconciliation.reconcile import Reconciled


def note_worth(app: "App", compared: "Reconciled", by: str, *, in_session: bool = False) -> None:
    """Record the account as the first comparison after the close sees it, or in an open session if that counts too."""
    session, view, at = session_of(app.ledger, compared.at, app.day), compared.view, compared.at
    if session is None or at < session.open or not (in_session or at >= session.close):
        return
    seen = next(iter(app.facts.session_ends(session.date, session.date)), None)
    if seen and seen.equity_at and seen.equity_at >= session.close:
        return
    before = seen.marks if seen else {}
    priced = ((one.symbol, one.current_price or before.get(one.symbol)) for one in view.positions)
    marks = tuple(Mark(symbol, price) for symbol, price in priced if price is not None)
    slot = AT_CLOSE if at >= session.close else f"at {at:%H:%M:%SZ}"
    call = Call(Job.RECONCILE, session.date, slot, by)
    app.facts.record(
        CycleRecord(
            call.cycle_id, call.job, call.session, call.slot, at, app.mode_name,
            equity=view.account.equity,
            marks=marks,
            last_close=seen.last_close if seen else None,
        )
    )  # fmt: skip
