"""Find out since when a strategy's code and settings have been unchanged."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from tradebot.adapters.plugins.code_digest import StrategyCode
from tradebot.adapters.state.evidence import BACKTEST
from tradebot.app.baseline import effective
from tradebot.app.promotion_status import code_of, digest_of, values_of
from tradebot.lab.backtest.results import read_result
from tradebot.model.promotion import Rung

if TYPE_CHECKING:
    from tradebot.app.wiring import App

LONG_AGO = datetime.min.replace(tzinfo=UTC)


class UnchangedSince(NamedTuple):
    """When a strategy's code and settings last changed; None, with the reason, if there is no evidence."""

    since: datetime | None
    why_not: str = ""


def fixed_since(app: App, name: str) -> UnchangedSince:
    """Find out from accepted configurations and recorded passes when a strategy's code and settings last changed.

    If a strategy is in shadow until it is promoted, nobody accepts the values that a walk sets for it. Such a strategy
    counts as unchanged only since it was promoted to paper with its present code and values, because it traded nothing
    before that.
    """
    now, code, since = values_of(effective(app.settings), name), code_of(app.settings, name), None
    for baseline in app.ledger_view.baselines.since(LONG_AGO):
        same = values_of(baseline.values, name) == now
        since = (since or baseline.at) if same else None
    if name in app.settings.strategies.until_promoted() and app.folder.kind != BACKTEST:
        rows, digest = app.ledger_view.promotions.every(), digest_of(app.settings, name)
        own = takewhile(lambda row: row.digest == digest, reversed([row for row in rows if row.strategy == name]))
        traded = [row.at for row in own if row.rung.step >= Rung.PAPER.step]
        if not traded:
            return UnchangedSince(None, "it is in shadow")
        since = max(min(traded), since) if since else min(traded)
    if since is None:
        return UnchangedSince(None, "its values aren't the accepted ones: tradebot config accept")
    if app.folder.kind == BACKTEST:
        played = (read_result(app.folder.path) or {}).get("identity", {}).get("code", {}).get(name)
        same = played is not None and StrategyCode.stored(played).digest == code
        return (
            UnchangedSince(since)
            if same
            else UnchangedSince(None, "the backtest ran with different code: play it again")
        )
    other = app.existing_facts.other_code(name, code or "") if app.existing_facts else None
    return UnchangedSince(max(since, other) if other else since)
