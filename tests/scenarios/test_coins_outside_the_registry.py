"""Positions at Kraken Futures that the registry doesn't know, or no longer: theirs are left alone, and ours stay.

The earlier bot sold at its start what its registry didn't know, and crashed on closing an orphan without a side. The
exchange's log is the judge. The tests share one bot, in their order.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kit.bot.folder import Bot, discard, log, typed
from tests.kit.bot.state import accept
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.venues.kraken.client import V3, Client, KrakenVenue

ADA, SOL, XBT = "PF_ADAUSD", "PF_SOLUSD", "PF_XBTUSD"


def rotating(*symbols: str) -> dict[str, Any]:
    """Return the strategies of a bot of these coins."""
    return {"rotation": {"ranked": [*symbols], "top": 1, "min_ranked": None}}


HEALTH = {"min_candles": 1, "failures": 1, "passes": 1, "degraded_every": 1}
SETTINGS = {
    "universe": [XBT, ADA],
    "strategies": rotating(XBT, ADA),
    "registry": {"enabled": True, "pinned": [], "health": HEALTH},
    "limits": {"min_score": 0.01, "min_coverage": 0.1, "max_order_notional_usd": 2000},
}
"""The market has another coin than these."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the place of the bot and its files."""
    place = tmp_path_factory.mktemp("outside")
    yield place
    discard(place / "state")


@pytest.fixture
def bot(place: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a bot that has done nothing yet, the first time; SOL and ADA were traded on its account by hand."""
    bot = Bot(place / "state", capsys)
    if not bot.folder.exists():
        words = ("--venue", "kraken_futures", "--symbols", "BTC,ADA,SOL", "--sessions", "2")
        assert typed(capsys, "init", "--state-dir", str(bot.folder), *words).code == 0
        configure(bot, SETTINGS)
        by_hand(bot, SOL, "sell", "7")
        by_hand(bot, ADA, "buy", "900")
        assert bot.says("exchange", "tick", "2m").code == 0
    return bot


def configure(bot: Bot, settings: dict[str, Any]) -> None:
    """Give a bot this configuration beside its venue, and accept it."""
    (bot.folder / "tradebot.yaml").write_text(yaml.safe_dump({"venue": "kraken_futures", **settings}))
    accept(bot.folder)


def by_hand(bot: Bot, symbol: str, side: str, size: str) -> None:
    """Trade past the bot, as its owner might from elsewhere."""
    asked(bot, "sendorder", orderType="mkt", symbol=symbol, side=side, size=size)


def asked(bot: Bot, what: str, **form: str) -> None:
    """Send a signed request of the account's owner."""
    with open_app(Options(str(bot.folder)), {}) as app:
        assert isinstance(app.connection, KrakenVenue)
        assert Client(app.connection).ask("POST", f"{V3}/{what}", form).status == 200


def fault(bot: Bot, place: Path, request: str, what: str) -> None:
    file = place / "faults.yaml"
    file.write_text(f"- name: odd\n  when: {{request: {request}}}\n  what: {what}\n")
    assert bot.says("exchange", "faults", "add", str(file)).code == 0


def sent(bot: Bot) -> list[tuple[str, str, str, bool]]:
    """Return what the bot has sent, not what was typed elsewhere: symbol, side, quantity, and if it only reduces."""
    accepted = (one for one in log(bot.url) if one["event"] == "order_accepted")
    ours = (one for one in accepted if str(one.get("client_order_id", "")).startswith("tb1."))
    return [(one["symbol"], one["side"], one["qty"], bool(one.get("reduce_only"))) for one in ours]


def held(bot: Bot) -> dict[str, tuple[str, str]]:
    return {row["symbol"]: (row["strategy"], row["quantity"]) for row in bot.json("positions")["positions"]}


def test_what_the_registry_does_not_know_is_reported_and_left_alone_before_anything_else_has_run(bot: Bot) -> None:
    bot.does("evaluate-exits", "trade-once --force-slot", "flatten --all --confirm ALL")
    findings = bot.json("reconcile")["findings"]
    assert {(one["kind"], one["subject"], one["broker"]) for one in findings} == {
        ("by_hand", SOL, "-7"), ("by_hand", ADA, "900"),
    }  # fmt: skip
    assert held(bot) == {SOL: ("foreign", "-7"), ADA: ("foreign", "900")}
    assert {row["symbol"]: row["reason"] for row in bot.json("registry")["coins"]} == {
        ADA: "TIER_UNKNOWN", XBT: "TIER_UNKNOWN",
    }  # fmt: skip
    shown = bot.says("positions").out
    for line in (f"{SOL} -7", f"{ADA} 900"):
        assert f"{line} was not opened by the bot, which leaves it alone" in shown
    assert sent(bot) == []


def test_our_position_whose_coin_lost_its_tier_or_its_place_keeps_its_stop_and_its_exits(bot: Bot, place: Path) -> None:
    file = place / "candidates.jsonl"
    file.write_text(f'{{"symbol": "{XBT}", "side": "sell", "score": -0.9}}\n')
    bot.does("registry --refresh", f"trade-once --candidates {file}", "exchange tick 2m", "evaluate-exits")
    (entry, *resting), positions = sent(bot), held(bot)
    assert (entry[:2], len(resting), positions[XBT][0]) == ((XBT, "sell"), 2, "own")
    assert all(one == (XBT, "buy", entry[2], True) for one in resting)

    fault(bot, place, "GET /derivatives/api/v3/tickers", "{missing_field: volumeQuote}")
    assert bot.says("registry", "--refresh").code == 10
    assert {row["reason"] for row in bot.json("registry")["coins"]} == {"TIER_UNKNOWN"}
    _keeps_all(bot, positions)
    assert bot.says("exchange", "faults", "clear").code == 0
    configure(bot, {**SETTINGS, "universe": [ADA], "strategies": rotating(ADA)})
    assert [row["symbol"] for row in bot.json("registry")["coins"]] == [ADA]
    _keeps_all(bot, positions)

    (stop,) = [one for one in log(bot.url) if one["event"] == "order_accepted" and one.get("stop_price")]
    asked(bot, "cancelorder", order_id=stop["order_id"])
    assert bot.says("exchange", "tick", "1m").code == 0
    rows = bot.json("evaluate-exits")["rows"]
    assert [row["symbol"] for row in rows if row["reason"] is None] == [XBT], "its stop is placed again"
    assert sent(bot)[3:] == [resting[0]]


def _keeps_all(bot: Bot, positions: dict[str, tuple[str, str]]) -> None:
    """Check that the next passes look at a position, and neither sell it nor touch what rests for it."""
    before = sent(bot)
    assert bot.says("exchange", "tick", "1m").code == 0
    (row,) = bot.json("evaluate-exits")["rows"]
    assert (row["symbol"], row["reason"]) == (XBT, "HOLD")
    assert (held(bot), sent(bot)) == (positions, before)
    assert [one for one in log(bot.url) if one["event"] == "order_canceled"] == []


def test_an_orphan_stays_until_its_side_is_known_and_what_fills_prove_is_closed_before(bot: Bot, place: Path) -> None:
    before = sent(bot)
    fault(bot, place, "positions", "{missing_field: side}")
    assert bot.says("adopt", SOL, "--manage", "--confirm", SOL).code == 2
    assert bot.says("flatten", XBT, "--confirm", XBT).code == 0
    assert [symbol for symbol, *_ in sent(bot)[len(before) :]] == [XBT]
    assert bot.says("exchange", "faults", "clear").code == 0
    for symbol in (SOL, ADA):
        assert bot.says("adopt", symbol, "--manage", "--confirm", symbol).code == 0
    assert bot.says("flatten", "--all", "--confirm", "ALL").code == 0
    closed = {(symbol, side, Decimal(size), reduces) for symbol, side, size, reduces in sent(bot)[len(before) :]}
    assert closed == {
        (SOL, "buy", Decimal(7), True), (ADA, "sell", Decimal(900), True), (XBT, "buy", Decimal(before[0][2]), True),
    }  # fmt: skip
    assert bot.says("exchange", "tick", "3m").code == 0
    assert (bot.json("reconcile")["findings"], held(bot)) == ([], {})
    positions = {one["symbol"]: Decimal(one["position"]) for one in log(bot.url) if one["event"] == "fill"}
    assert positions == dict.fromkeys((SOL, ADA, XBT), Decimal(0))
