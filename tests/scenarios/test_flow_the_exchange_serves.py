"""What the embedded exchange serves as flow is what the bot's kinds of facts read."""

from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from exchange.tests.kit.app import World, open_world
from papervenue.faces.web import MADE_AT
from papervenue.market.profiles import SECTORS
from papervenue.market.spec import MarketSpec
from papervenue.process import create
from tradebot.model.fact_kind import AnyKind, ReplyScope
from tradebot.model.flow import FlowPage, Quota
from tradebot.signals.kinds import kind_names, kind_of
from tradebot.signals.normalize import normalize

SYMBOLS, SESSION = ("AAPL", "SPY", "UNH", "XOM", "ZAAC"), "2025-03-04"
UNUSABLE = {"dark_pool": {"settlement is not regular", "canceled"}}
"""The reasons for which a kind leaves out rows that the real service shows too."""


@pytest.fixture(scope="module")
def traded(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder: Path = tmp_path_factory.mktemp("series") / "state"
    create(folder, MarketSpec(symbols=SYMBOLS, sessions=3, start=date(2025, 3, 3)))
    return open_world(folder, to=f"{SESSION}T19:30:20Z")


def requests_of(kind: AnyKind) -> list[tuple[str, str | None]]:
    """Return the paths that a kind asks with their queries, each with its symbol if it is about one."""
    about: dict[ReplyScope, tuple[str, ...]] = {
        ReplyScope.SYMBOL: SYMBOLS,
        ReplyScope.FUND: ("SPY",),
        ReplyScope.SECTOR: tuple(quote(sector) for sector in SECTORS),
        ReplyScope.MARKET: ("",),
    }
    made = [(name, kind.request(name, date.fromisoformat(SESSION))) for name in about[kind.scope]]
    own = kind.scope in (ReplyScope.SYMBOL, ReplyScope.FUND)
    return [(f"{one.path}?{urlencode(one.params)}", name if own else None) for name, one in made]


@pytest.mark.parametrize("name", kind_names())
def test_bot_s_kinds_of_facts_accept_every_row_served(traded: World, name: str) -> None:
    kind, facts = kind_of(name), 0
    for target, symbol in requests_of(kind):
        answer = traded.ask("GET", target)
        assert answer.status == 200, (target, answer)
        at = datetime.fromisoformat(answer.headers[MADE_AT]).astimezone(UTC)
        data = answer.json["data"]
        page = FlowPage(target, symbol, tuple(data if isinstance(data, list) else [data]), Quota(None, None, None))
        intake = normalize(kind, page, at)
        rejected = {row.reason for row in intake.rejected}
        assert rejected <= UNUSABLE.get(name, set()), target
        assert (intake.foreign, tuple(intake.findings)) == (0, ()), target
        facts += len(intake.facts)
    assert facts
