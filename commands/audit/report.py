"""The report of `tradebot audit`."""

from datetime import datetime

from msgspec import Struct

from commands.audit.reading import read
from commands.shared.judged import counted_states
from commands.shared.plain import clean
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.wiring import App
from tradebot.judging.audit import audit
from tradebot.judging.judgment import Judgment, ranked
from tradebot.judging.trading import Trading
from tradebot.model.values import replace


class Audited(Struct, frozen=True):
    """One audit at trading time `as_of`, starting at `since`; `findings` are what to fix, most urgent first.

    `states` counts the judgments by state. `since` is None if the books couldn't be read.
    """

    as_of: datetime
    since: datetime | None
    broker_asked: bool
    states: dict[str, int]
    findings: "tuple[Judgment, ...]"
    judgments: "tuple[Judgment, ...]"


def audited(app: "App", since_s: int | None, *, offline: bool) -> Audited:
    """Read the evidence and judge it; `since_s` is in seconds, None for the session. A backtest has no broker."""
    finished = app.folder.kind == BACKTEST
    offline = offline or finished
    evidence, seen = read(app, since_s, offline=offline)
    # These sentences quote the broker and other people.
    judgments = tuple(replace(each, found=clean(each.found)) for each in audit(evidence, seen, finished=finished))
    moment = seen.moment if isinstance(seen, Trading) else None
    return Audited(
        as_of=moment.now if moment else evidence.at,
        since=moment.since if moment else None,
        broker_asked=not offline,
        states=counted_states(judgments),
        findings=ranked(judgments),
        judgments=judgments,
    )
