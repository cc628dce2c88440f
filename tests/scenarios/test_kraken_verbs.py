"""Typed verbs at Kraken Futures: a demo whose books agree with the exchange, and what each verb says of it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
import requests

from commands.shared.number_format import show_traded
from papervenue import process
from tests.kit.bot.folder import Said, typed
from tests.kit.values import there
from tradebot.adapters.bars import series

VENUE = "kraken_futures"
READ = ("status", "positions", "orders", "trades", "pnl", "report", "learn", "summary", "audit", "health", "schedule")


class Played:
    """The folder of a demo, and how the demo ended."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], *options: str) -> None:
        self.folder = folder
        self.capture = capture
        self.demo = self.says("demo", "--venue", VENUE, "--symbols", "3", "--minutes", "12", *options)

    def says(self, *words: str) -> Said:
        return typed(self.capture, *words, "--state-dir", str(self.folder))


@pytest.fixture
def played(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Played]:
    yield Played(here / "bot", capsys, "--json")
    process.stop(here / "bot" / "exchange")


def test_a_demo_of_coins_agrees_with_its_exchange_and_every_verb_knows_it(played: Played) -> None:
    document = json.loads(played.demo.out)
    found = document["data"]
    assert (played.demo.code, document["venue"], found["differences"]) == (0, VENUE, [])
    assert (found["fills"] > 0, len(found["positions"]) > 0, found["flow"]) == (True, True, None)
    audited = {
        row["subject"]: row["state"] for row in json.loads(played.says("audit", "--json").out)["data"]["judgments"]
    }
    assert {name for name, state in audited.items() if state not in ("OK", "NOT_DUE")} <= {"chores"}, "nobody serves"
    for verb in READ:
        said = played.says(verb)
        assert (said.code in (0, 1, 10), " ET" in said.out, "Traceback" in said.err) == (True, False, False), verb
        assert json.loads(played.says(verb, "--json").out)["venue"] == VENUE
    checks = {
        row["subject"]: row["state"] for row in json.loads(played.says("doctor", "--json").out)["data"]["judgments"]
    }
    assert {checks[name] for name in ("broker", "account", "quotes", "bars", "clock", "nonce", "key")} == {"OK"}
    _knows_coins_by_their_names(played)
    judged = {row["subject"] for row in json.loads(played.says("health", "--json").out)["data"]["judgments"]}
    assert not {"flow", "scores", "signals"} & (judged | audited.keys()), "nobody reads flow"
    order = json.loads(played.says("doctor", "--order", "--json").out)["data"]["judgments"]
    assert {row["subject"]: row["state"] for row in order}["cancel"] == "OK"
    report = played.says("report").out
    assert ("SPY" in report, "Holding the universe isn't compared" in report) == (False, True), (
        "it takes the fund's place"
    )
    told = json.loads(played.says("events", "--json").out)["data"]["events"]
    assert {one["event_type"] for one in told if one["severity"] != "INFO"} == set(), "an ordinary hour alarms nobody"
    _has_what_margin_and_funding_say(played)
    show_traded("share", {})
    again = played.says("demo", "--venue", VENUE, "--symbols", "2", "--minutes", "8")
    assert (again.code, " contracts" in again.out or "PF_" in again.out, "share" in again.out) == (0, True, False)


def _knows_coins_by_their_names(played: Played) -> None:
    held = json.loads(played.says("positions", "--json").out)["data"]["positions"][0]["symbol"]
    coin = held.removeprefix("PF_").removesuffix("USD").lower()
    named, meant = (played.says("fills", name, "--json") for name in (f"{coin}/usd", held))
    assert json.loads(named.out)["data"] == json.loads(meant.out)["data"]
    for verb in (("why-no-orders",), ("trades", "--symbol"), ("pnl", "--symbol"), ("flatten",), ("adopt",)):
        refused = played.says(*verb, "BTCUSD")
        assert (refused.code, "may be a pair or a coin" in refused.err) == (2, True), verb


def _has_what_margin_and_funding_say(played: Played) -> None:
    assert played.says("exchange", "tick", "1h").code == 0
    assert played.says("reconcile").code == 0
    shown = json.loads(played.says("positions", "--json").out)["data"]
    held = {row["symbol"] for row in shown["positions"]}
    assert {one["symbol"] for one in shown["margin"]["liquidations"]} == held
    assert {one["symbol"] for one in shown["funding"]} == held
    total = json.loads(played.says("pnl", "--json").out)["data"]["pnl"]["total"]
    assert Decimal(total["funding_usd"]) == sum(Decimal(one["amount_usd"]) for one in shown["funding"]) != 0
    assert Decimal(total["fees_usd"]) < 0 == Decimal(total["other_usd"]), "fees are told apart from funding"


@pytest.mark.campaign
def test_a_liquidation_is_told_booked_to_the_cent_and_found(played: Played) -> None:
    held = json.loads(played.says("positions", "--json").out)["data"]["positions"]
    endpoint = there(process.running_endpoint(played.folder / "exchange"))
    for one in held:
        # What holding it costs takes all of the account within three hours.
        rate = f"{Decimal(33_500) / len(held) / Decimal(one['quantity']):.6f}"
        told = {"symbol": one["symbol"], "rate": rate}
        assert requests.post(f"{endpoint.url}/exchange/v1/funding", json=told, timeout=60).status_code == 200
    assert played.says("exchange", "tick", "4h").code == 0
    assert played.says("evaluate-exits").code == 0
    found = json.loads(played.says("reconcile", "--json").out)["data"]["findings"]
    assert {(one["kind"], one["subject"]) for one in found} == {("liquidation", one["symbol"]) for one in held}
    events = json.loads(played.says("events", "--json").out)["data"]["events"]
    assert {"liquidated", "halted_itself"} <= {one["event_type"] for one in events if one["severity"] == "CRITICAL"}
    needs = json.loads(played.says("summary", "--json").out)["data"]["needs"]
    assert any("The broker liquidated positions in" in need["what"] for need in needs)
    trades = json.loads(played.says("trades", "--json").out)["data"]["trades"]
    assert all("liquidation" in json.dumps(one) for one in trades)
    pnl = json.loads(played.says("pnl", "--json").out)["data"]["pnl"]
    # At the market's prices it would owe, so its position is assigned to others at a price that leaves nothing.
    assert Decimal(pnl["compared"]["difference_usd"]) == 0 <= Decimal(pnl["after_usd"]) < 100
    assert Decimal(pnl["total"]["total_usd"]) == Decimal(pnl["after_usd"]) - Decimal(pnl["before_usd"])


@pytest.mark.parametrize(
    ("verb", "options", "message"),
    [
        ("backtest", ("--symbols", "57"), "kraken_futures has 56 symbols, not 57"),
        ("init", ("--symbols", "BTC,ETH/EUR"), "ETH/EUR isn't quoted and settled in USD"),
        ("init", ("--symbols", "btc,eth/usd,NOCOIN"), "the embedded exchange has no PF_NOCOINUSD"),
        ("init", ("--profile", "rotation"), "profile rotation is for alpaca, but you asked for kraken_futures"),
        ("backtest", ("--profile", "rotation"), "profile rotation is for alpaca, but you asked for kraken_futures"),
    ],
)
def test_what_is_not_for_this_venue_is_refused_with_what_is_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, options: tuple[str, ...], message: str
) -> None:
    folder = tmp_path / "bot"
    said = typed(capsys, verb, "--venue", VENUE, *options, "--state-dir", str(folder))
    assert (said.code, message in said.err, folder.exists()) == (2, True, False), said.err


SPARSE = """venue: kraken_futures
timetable: {fetch-flow: every 10m from open+2m until close, score: every 60m from open+2m until close,
            evaluate-exits: every 15m from open+1m until close, trade-once: every 15m from open+7m until close,
            reconcile: every 30m from open+1m until close}
"""
"""As few passes as load, so that a day doesn't take long."""


@pytest.mark.campaign
def test_a_backtest_of_coins_is_played_by_their_own_exchange_and_says_what_that_charges(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sparse.yaml").write_text(SPARSE)
    words = ("backtest", "--venue", VENUE, "--symbols", "2", "--sessions", "1", "--config", "sparse.yaml")
    said = typed(capsys, *words, "--seed", "9", "--state-dir", str(here / "bot"), "--json")
    assert said.code == 0, said.err
    document = json.loads(said.out)
    found = document["data"]
    assert (document["venue"], found["differences"], found["result"]["sessions"]) == (VENUE, 0, 1)
    said_of = {one["name"]: one["value"] for one in found["assumptions"]}
    assert said_of["fees"] == "2 bps for orders that rest (maker), 5 bps for others (taker)"
    assert {"funding", "liquidation"} <= said_of.keys()
    assert not {"commission", "margin_interest", "borrow_fee"} & said_of.keys()
    refused = typed(capsys, *words, "--margin", "free", "--state-dir", str(here / "bot"))
    assert (refused.code, "--margin works only with the default venue's engine" in refused.err) == (2, True)


@pytest.mark.campaign
def test_smart_money_passes_the_check_for_look_ahead_and_a_bar_that_is_not_over_fails_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = str(tmp_path / "bot")
    options = ("--profile", "smart_money", "--symbols", "PF_XBTUSD,PF_ETHUSD")
    assert typed(capsys, "init", *options, "--state-dir", bot).code == 0
    with (tmp_path / "bot" / "tradebot.yaml").open("a") as file:
        file.write(SPARSE.partition("\n")[2])
    words = ("backtest", "--sessions", "1", "--check-lookahead", "--cuts", "3", "--force", "--state-dir", bot, "--json")
    passed = typed(capsys, *words)
    assert passed.code == 0, passed.err + passed.out
    found = json.loads(passed.out)["data"]["lookahead"]
    assert (found["cuts"], found["peeks"]) == (3, [])
    ended_s = series._ended_s
    monkeypatch.setattr(series, "_ended_s", lambda *of: min(ended_s(*of) + of[2], int(of[0].close.timestamp())))
    failed = typed(capsys, *words)
    assert failed.code == 10, failed.err
    (peek,) = json.loads(failed.out)["data"]["lookahead"]["peeks"]
    assert peek["strategy"] == "the market"
    assert peek["what"].startswith("bar ")


@pytest.mark.campaign
def test_a_demo_a_backtest_and_serve_make_the_same_fills_and_equity_of_a_day(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "sparse.yaml").write_text(SPARSE)
    options = ("--venue", VENUE, "--symbols", "5", "--sessions", "1", "--config", "sparse.yaml", "--json")
    demo, bot, served = (str(here / name) for name in ("demo", "bot", "served"))
    ended = [
        typed(capsys, "demo", *options, "--minutes", "1440", "--state-dir", demo),
        typed(capsys, "backtest", *options, "--name", "day", "--state-dir", bot),
        typed(capsys, "init", *options, "--state-dir", served),
        typed(capsys, "serve", "--speed", "1000000", "--state-dir", served, "--json"),
    ]
    try:
        assert [one.code for one in ended] == [0] * 4, [one.err for one in ended]
        folders = (demo, str(Path(bot) / "backtests" / "day"), served)
        told = [_fills(capsys, folder) for folder in folders]
        equity = json.loads(typed(capsys, "status", "--state-dir", served, "--json").out)["data"]["equity"]
    finally:
        for folder in (demo, served):
            process.stop(Path(folder) / "exchange")
    assert told[0] == told[1] == told[2] != []
    ends = json.loads(ended[0].out)["data"]["equity"], json.loads(ended[1].out)["data"]["result"]["end_usd"]
    assert {f"{Decimal(end):.2f}" for end in (*ends, equity["last_usd"])} == {f"{Decimal(ends[0]):.2f}"}


def _fills(capsys: pytest.CaptureFixture[str], folder: str) -> list[list[str]]:
    """Return the fills in a folder's books; those of one moment have no order among them."""
    rows = json.loads(typed(capsys, "fills", "--state-dir", folder, "--json").out)["data"]["fills"]
    return sorted([row[name] for name in ("at", "symbol", "side", "quantity", "price")] for row in rows)
