"""The report of `tradebot audit`."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from commands.shared.plain import clean

if TYPE_CHECKING:
    from tradebot.app.wiring import App
    from tradebot.auditing.items import Item


@dataclass(frozen=True, slots=True)
class Audited:
    """One audit at trading time `as_of`, starting at `since`; `findings` are the items to fix, most urgent first.

    `states` counts the items by state, and `left_out` those that were skipped, on request or because nothing was there.
    """

    as_of: datetime
    since: datetime
    broker_asked: bool
    states: dict[str, int]
    left_out: int
    findings: "tuple[Item, ...]"
    items: "tuple[Item, ...]"


def audited(app: "App", since_s: int | None, *, offline: bool) -> Audited:
    """Read the evidence and judge it; `since_s` is in seconds, None for the session. A backtest has no broker."""
    from commands.audit.reading import read
    from tradebot.adapters.state.finished import BACKTEST
    from tradebot.auditing.audit import audit

    finished = app.folder.kind == BACKTEST
    offline = offline or finished
    evidence = read(app, since_s, offline=offline)
    result = audit(evidence, finished=finished)
    items = tuple(_printable(item) for item in result.items)
    return Audited(
        as_of=evidence.moment.now,
        since=evidence.moment.since,
        broker_asked=not offline,
        states=_counted(items),
        left_out=sum(item.left_out for item in items),
        findings=tuple(_printable(item) for item in result.findings),
        items=items,
    )


def _counted(items: "tuple[Item, ...]") -> dict[str, int]:
    from tradebot.auditing.items import State

    return {state.value: sum(item.state is state for item in items) for state in State}


def _printable(item: "Item") -> "Item":
    """Remove control characters, because these sentences quote the broker and other people."""
    return replace(item, found=clean(item.found))
