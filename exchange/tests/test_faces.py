"""Faces by name: an installed package brings one, and its exchange is served and restarted like any other."""

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from exchange.tests.kit.app import KEYS, World, folders_of, open_world
from exchange.tests.kit.ring import D, instrument, keep, snapshot_of, state_of, without_snapshot
from papervenue import process
from papervenue.chance import random_stream
from papervenue.exchange import open_exchange
from papervenue.faces.face import GROUPS
from papervenue.margined.accounts import mark_of
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.market.venue import Grid, Rules, Venue
from papervenue.process import create
from papervenue.snapshot.state import write_snapshot
from tests.suite.tiers import sized

OWN = """from exchange.tests.lean_face import FACE as LEAN

def serve(serving):
    return LEAN.serve(serving)

FACE = LEAN._replace(serve=serve)
"""
PERPETUAL = instrument("PF_XBTUSD", "0.5", lot=D("0.0001"), level=D(30_000), funding=D("0.9"))
PERPETUAL_GRID = Grid(PERPETUAL)
COIN = instrument("PF_PEPEUSD", "0.00001", lot=D(1000), level=D("0.0123"), calendar="CMES")
VENUE = Venue(
    dialect="plain",
    calendar="24/7",
    instruments=(PERPETUAL, COIN),
    rules=Rules(taker_fee=D("0.0005"), fees_after_us=7_000_000, liquidation_fee=D("0.01")),
    faces=("lean",),
)
SPEC = MarketSpec(
    start=date(2026, 1, 5), sessions=4, symbols=("PF_XBTUSD", "PF_PEPEUSD"), venue=VENUE, cash=D(3_000), seed=3
)


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Install a package that brings the lean face, and another whose face speaks Alpaca's dialect."""
    folder = tmp_path_factory.mktemp("site")
    described = folder / "lean_face-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: lean-face\nVersion: 1.0\n")
    module = "exchange.tests.lean_face"
    (described / "entry_points.txt").write_text(
        f"[{GROUPS[0]}]\nlean = {module}:FACE\nforeign = {module}:FOREIGN\nown = own_face:FACE\n"
    )
    (folder / "own_face.py").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(folder)])
        yield folder


@pytest.fixture(scope="module")
def fresh(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(SPEC, tmp_path_factory)


@pytest.fixture
def lean(fresh: Callable[[], Path]) -> World:
    world = open_world(fresh())
    world.tick(seconds=600)
    return world


def send(world: World, side: str, qty: str, symbol: str = "PF_XBTUSD", **more: object) -> Any:
    return world.ask("POST", "/v1/orders", {"symbol": symbol, "side": side, "qty": qty, **more})


def test_face_trades_and_shows_what_the_engine_says(lean: World) -> None:
    placed = send(lean, "buy", "0.5").json
    assert (placed["symbol"], placed["qty"], placed["status"]) == ("PF_XBTUSD", "0.5", "pending_new")
    lean.tick(seconds=3600)
    assert lean.get(f"/v1/orders/{placed['order_id']}")["status"] == "filled"
    assert lean.get("/v1/account")["positions"] == {"PF_XBTUSD": "0.5"}
    fee, funding = lean.get("/v1/entries")[:2]
    assert (fee[:2], funding[:2]) == (["FEE", "PF_XBTUSD"], ["FUNDING", "PF_XBTUSD"])
    assert fee[3] == lean.logged("fill")[0]["activity_id"]
    status = lean.get("/exchange/v1/status")
    assert (status["accounts"][0]["equity"], status["is_open"]) == (lean.get("/v1/account")["equity"], True)
    row = lean.get("/exchange/v1/page")["accounts"][0]
    assert (row["positions"][0]["qty"], len(row["buying_power"]) > 1) == ("0.5", True)


def test_exchange_serves_only_the_faces_that_its_market_names(lean: World) -> None:
    for path in ("/v2/orders", "/v2/account", "/api/market/market-tide", "/v2/stocks/bars"):
        assert lean.ask("GET", path).status == 404
    assert lean.ask("POST", "/exchange/v1/journal", {"amount": "1"}).status == 404
    assert lean.ask("GET", "/").status == 200


def test_refusal_of_the_dialect_reaches_the_client_and_the_log(lean: World) -> None:
    answer = send(lean, "buy", "0.00015")
    assert (answer.status, answer.json["code"]) == (422, "lot_size")
    assert lean.logged("order_rejected")[0]["code"] == "lot_size"
    assert lean.get("/exchange/v1/page")["ended_orders"][0]["status"] == "refused"


def test_staff_sets_funding_and_cancels_orders_of_a_plain_venue(lean: World) -> None:
    answer = lean.ask("POST", "/exchange/v1/funding", {"symbol": "PF_XBTUSD", "rate": "-0.4"})
    assert (answer.status, answer.json) == (200, {"symbol": "PF_XBTUSD", "rate": "-0.4"})
    assert lean.ask("POST", "/exchange/v1/funding", {"symbol": "AAPL", "rate": "1"}).status == 404
    placed = send(lean, "buy", "0.1", type="limit", limit="20000").json
    done = lean.ask("POST", "/exchange/v1/orders", {"order": placed["order_id"], "do": "cancel"})
    assert (done.json["status"], done.json["limit_price"]) == ("canceled", "20000")


def test_symbol_with_its_own_calendar_pauses_while_the_market_goes_on(lean: World) -> None:
    lean.tick(to="2026-01-05T22:30:00Z")
    for symbol, qty in (("PF_XBTUSD", "0.1"), ("PF_PEPEUSD", "2000")):
        send(lean, "buy", qty, symbol)
    statuses = {one["symbol"]: one["status"] for one in lean.get("/v1/orders")}
    assert statuses == {"PF_XBTUSD": "new", "PF_PEPEUSD": "accepted"}
    lean.tick(to="2026-01-05T23:02:00Z")
    statuses = {one["symbol"]: one["status"] for one in lean.get("/v1/orders")}
    assert statuses == {"PF_XBTUSD": "filled", "PF_PEPEUSD": "filled"}


def test_rules_of_faults_know_the_requests_of_a_face(lean: World) -> None:
    lean.arm("reject_after_acceptance", request="submit", symbol="PF_XBTUSD")
    lean.arm({"status": 503}, request="account")
    placed = send(lean, "buy", "0.1").json
    assert lean.get(f"/v1/orders/{placed['order_id']}")["status"] == "rejected"
    assert lean.ask("GET", "/v1/account").status == 503


def test_stale_account_shows_a_margined_position_as_it_was(lean: World) -> None:
    send(lean, "buy", "0.2")
    lean.tick(seconds=120)
    send(lean, "buy", "0.3")
    lean.tick(seconds=120)
    lean.arm({"stale_account": "150s"}, request="account")
    then = lean.get("/v1/account")
    assert then["positions"] == {"PF_XBTUSD": "0.2"}
    # It has cost what its fill did, and it is shown at the mark of now.
    entry = D(lean.logged("fill")[0]["price"])
    assert D(then["unrealized"]) == D("0.2") * (PERPETUAL_GRID.usd(mark_of(lean.engine, "PF_XBTUSD")) - entry)
    lean.clear_rules()
    assert lean.get("/v1/account")["positions"] == {"PF_XBTUSD": "0.5"}


def trade(world: World, seed: int, steps: int, at: Callable[[int], World | None] = lambda step: None) -> World:
    """Send random commands; `at` may put another world in the place of this one before a step."""
    rng = random_stream("lean", seed)
    for step in range(steps):
        world = at(step) or world
        kind = rng.random()
        if step == steps // 4:
            # As much as the margin carries, at a price that takes it away.
            send(world, "buy", "4.5")
            world.ask("POST", "/exchange/v1/funding", {"symbol": "PF_XBTUSD", "rate": "600"})
            world.tick(seconds=7200)
        elif kind < 0.5:
            symbol, qty = rng.choice((("PF_XBTUSD", "0.9"), ("PF_XBTUSD", "2.5001"), ("PF_PEPEUSD", "40000")))
            more = {"reduce_only": True} if rng.random() < 0.3 else {}
            send(world, rng.choice(("buy", "sell")), qty, symbol, **more)
        elif kind < 0.6:
            rate = rng.choice(("0.25", "-2", "31"))
            world.ask("POST", "/exchange/v1/funding", {"symbol": "PF_XBTUSD", "rate": rate})
        elif kind < 0.65:
            world.ask("POST", "/exchange/v1/reset", {"account": "main"})
        else:
            world.tick(seconds=rng.choice((60, 61, 3600, 7200)))
        world.exchange.commit()
    return world


@pytest.mark.sampled
@pytest.mark.parametrize("seed", range(sized(1, 3)))
def test_restarts_and_snapshots_change_neither_log_nor_state(
    fresh: Callable[[], Path], tmp_path: Path, seed: int
) -> None:
    steps, cut = 40, 21
    once, again = fresh(), fresh()
    whole = trade(open_world(once), seed, steps)

    def restarted(step: int) -> World | None:
        if step not in (8, cut, 33):
            return None
        keep(open_exchange(again), again)
        return open_world(again)

    pieces = trade(open_world(again), seed, steps, restarted)
    log = whole.exchange.log.path.read_bytes()
    assert pieces.exchange.log.path.read_bytes() == log
    assert state_of(pieces.exchange) == state_of(whole.exchange)
    assert state_of(open_exchange(without_snapshot(once, tmp_path / "replayed"))) == state_of(whole.exchange)
    kept = without_snapshot(once, tmp_path / "kept")
    write_snapshot(kept, snapshot_of(whole.exchange, once))
    assert state_of(open_exchange(kept)) == state_of(whole.exchange)


def test_sessions_of_a_restart_include_liquidations_and_late_fees(fresh: Callable[[], Path]) -> None:
    names: set[str] = set()
    for seed in range(3):
        world = trade(open_world(fresh()), seed, 40)
        names |= {one["event"] for one in world.events()} | {one["activity_type"] for one in world.logged("activity")}
    assert names >= {"liquidation", "fill", "FEE", "FUNDING", "funding_rate_set"}


def test_snapshot_is_not_used_with_another_version_of_a_face(installed: Path, tmp_path: Path) -> None:
    create(tmp_path, replace(SPEC, venue=replace(VENUE, faces=("own",))))
    world = open_world(tmp_path)
    world.tick(seconds=60)
    world.exchange.commit()
    keep(world.exchange, tmp_path)
    assert open_exchange(tmp_path).log.known_lines
    (installed / "own_face.py").write_text(OWN + "# another version\n")
    assert not open_exchange(tmp_path).log.known_lines


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        (("nobody",), "no API 'nobody' is installed"),
        (("lean", "foreign"), "has the dialect alpaca"),
        (("alpaca",), "the API alpaca has the dialect alpaca, not plain"),
    ],
)
def test_face_that_is_missing_or_speaks_another_dialect_is_refused(
    tmp_path: Path, faces: tuple[str, ...], message: str
) -> None:
    with pytest.raises(MarketError, match=message):
        create(tmp_path / "exchange", replace(SPEC, venue=replace(VENUE, faces=faces)))
    assert not (tmp_path / "exchange" / "market.json").exists()


@pytest.mark.usefixtures("new_interpreters")
def test_process_of_an_exchange_serves_a_face_that_is_installed(
    fresh: Callable[[], Path], installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = fresh()
    monkeypatch.setenv("PYTHONPATH", str(installed))
    # Python must not look for modules in an exchange's folder.
    (folder / "uvicorn.py").write_text("raise SystemExit(99)")
    try:
        status, body = process._request("GET", process.ensure_running(folder).url, "/v1/account", 5.0, headers=KEYS)
        assert (status, body["cash"]) == (200, "3000")
    finally:
        process.stop(folder)
