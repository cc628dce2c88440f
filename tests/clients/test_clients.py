"""Clients that share no code with this project live through an order's whole life; the exchange's log is the judge.

Those of Alpaca share none with alpaca-py either. They are development tools: `make clients` fetches them, and without
it these tests skip, saying so.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit.kraken import KEY, SECRET, XBT, spec
from exchange.tests.kit.served import Served, needed, served
from exchange.tests.kit.tws import spec as futures_spec
from papervenue.market.hours import HOURS
from papervenue.process import create
from papervenue.times import parse_time
from tests.kit.lab import Lab, served_to_others

HERE = Path(__file__).parent
PACKAGES = {
    "js": HERE / "js" / "node_modules",
    "python": HERE / "python" / ".venv",
    "kraken": HERE / "kraken" / ".venv",
    "cryptofeed": HERE / "cryptofeed" / ".venv",
    "ibkr": HERE / "ibkr" / ".venv",
    "insync": HERE / "insync" / ".venv",
}
ABSENT = "the other clients are not here: make clients"
INTERPRETER = HERE / "python" / ".venv" / "bin" / "python"


@pytest.fixture
def node() -> str:
    """Return the program that runs the JavaScript clients; name it before the lab, which is slow to start."""
    found = needed(shutil.which("node"), "node")
    if not PACKAGES["js"].exists():
        pytest.skip(ABSENT)
    return found


@pytest.fixture
def interpreter() -> str:
    """Return the Python that has the older client; a test names it before the lab."""
    if not INTERPRETER.exists():
        pytest.skip(ABSENT)
    return str(INTERPRETER)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with served_to_others(tmp_path, "--symbols", "AAPL,MSFT,SPY", "--start", "2025-03-03") as lab:
        yield lab


@pytest.fixture
def kraken(tmp_path: Path) -> Iterator[Served]:
    """Yield an exchange of three perpetuals, an hour into its first day; its clients must be there."""
    if not PACKAGES["kraken"].exists():
        pytest.skip(ABSENT)
    create(tmp_path, spec((XBT, "PF_ETHUSD", "PF_PEPEUSD")))
    with served(tmp_path) as place:
        place.tick(seconds=3600)
        yield place


@pytest.fixture
def futures(tmp_path: Path) -> Iterator[Served]:
    """Yield an exchange of futures that speaks TWS, three hours into its first day."""
    create(tmp_path, futures_spec())
    with served(tmp_path) as place:
        place.tick(seconds=3 * 3600)
        yield place


def at_tws(futures: Served, *command: str) -> dict[str, Any]:
    """Run the story of a client of TWS and return its steps."""
    return run(command, {"EXCHANGE_URL": futures.url, "TWS_PORT": str(futures.ports["tws"])})


@pytest.fixture
def ibkr() -> str:
    """Return the Python that has ib_async; a test names it before the exchange."""
    if not PACKAGES["ibkr"].exists():
        pytest.skip(ABSENT)
    return str(PACKAGES["ibkr"] / "bin" / "python")


def at_kraken(kraken: Served, story: str) -> dict[str, Any]:
    """Run the story of a client of Kraken Futures and return its steps."""
    began_ms = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp()) * 1000
    settings = {"EXCHANGE_URL": kraken.url, "KEY": KEY, "SECRET": SECRET, "SINCE_MS": str(began_ms)}
    package = story.partition("/")[0]
    return run((str(PACKAGES[package] / "bin" / "python"), str(HERE / story)), settings)


def live(lab: Lab, *command: str) -> dict[str, Any]:
    """Run a client's story and return its steps."""
    return run(command, {"EXCHANGE_URL": lab.url, "APCA_API_KEY_ID": "sandbox", "APCA_API_SECRET_KEY": "sandbox"})


def run(command: Sequence[str], settings: Mapping[str, str]) -> dict[str, Any]:
    """Run a client's story and return its steps; the last line of its output is its report."""
    environment = {"PATH": os.environ["PATH"], **settings}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    report = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    assert done.returncode == 0, (report, done.stderr)
    return dict(report["steps"])


def javascript(node: str, lab: Lab, story: str) -> dict[str, Any]:
    return live(lab, node, str(HERE / "js" / story))


def net_positions(lab: Lab) -> dict[str, str]:
    """Return the position after the last fill of each symbol."""
    return {fill["symbol"]: fill["position"] for fill in lab.logged("fill")}


def test_the_official_typescript_sdk(node: str, lab: Lab) -> None:
    seen = javascript(node, lab, "official_v4.mjs")
    assert seen["clock open"] is True
    assert seen["client id again"] == {"status": 422, "code": 40010001}
    assert seen["replaced"] == {"replaces": True, "limit": "51"}
    assert seen["old one"] == "replaced"
    assert seen["position"] == {"symbol": "AAPL", "qty": "10", "side": "long"}
    assert seen["bracket"] == {"class": "bracket", "legs": ["limit", "stop"]}
    assert seen["legs"] == ["new", "new"]
    assert seen["too dear"] == {"status": 403, "code": 40310000}
    assert seen["positions left"] == ["MSFT"]
    assert set(seen["events"]) >= {"new", "fill", "canceled", "replaced"}
    assert net_positions(lab) == {"AAPL": "0", "MSFT": "2"}


def test_the_javascript_client_before_it(node: str, lab: Lab) -> None:
    seen = javascript(node, lab, "official_v3.mjs")
    assert seen["calendar"] == ["2025-03-03", "2025-03-04"]
    assert seen["replaced"] == {"replaces": True, "qty": "3"}
    assert seen["shares are held"] == {"status": 403, "code": 40310000}
    assert seen["flat"] == 0
    assert seen["fills"] == ["sell", "buy"]
    assert seen["watchlist"] == ["SPY", "AAPL"]
    assert seen["bars"] == [f"2025-03-03T14:3{minute}:00Z" for minute in range(3)]
    assert net_positions(lab) == {"SPY": "0"}


def test_a_client_written_by_others(node: str, lab: Lab) -> None:
    seen = javascript(node, lab, "master_chief.mjs")
    assert seen["client id again"] == 40010001
    assert seen["position"] == {"side": "long", "fractional": True}
    assert seen["streamed bar"] == "AAPL"
    assert set(seen["events"]) >= {"new", "fill", "canceled", "replaced"}
    assert net_positions(lab) == {"AAPL": "0"}


def test_the_python_client_before_alpaca_py(interpreter: str, lab: Lab) -> None:
    seen = live(lab, interpreter, str(HERE / "python" / "alpaca_trade_api_life.py"))
    assert seen["legs"] == ["new", "new"]
    assert seen["client id again"] == {"status": 422, "code": 40010001}
    assert seen["unknown"]["status"] == 422
    assert seen["flat"] == 0
    assert seen["streamed bar"] == "SPY"
    assert net_positions(lab) == {"AAPL": "0", "SPY": "0"}


def accepted(folder: Path) -> list[tuple[str, str, str]]:
    """Return what the exchange took: the kind, the side and the size of each order."""
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [(row["type"], row["side"], row["qty"]) for row in rows if row["event"] == "order_accepted"]


def test_ccxt_at_the_kraken_face(kraken: Served, tmp_path: Path) -> None:
    seen = at_kraken(kraken, "kraken/ccxt_session.py")
    assert seen["markets"] == ["BTC/USD:USD", "ETH/USD:USD", "PEPE/USD:USD"]
    assert seen["market"]["precision"] == {"amount": 0.0001, "price": 1.0}
    assert (seen["quote"], seen["candles"], seen["funding"]) == (True, [0, True], True)
    assert (seen["balance"], seen["tiers"], seen["by its own clock"]) == (100_000, 50, [])
    assert (seen["rests"], seen["id again"]) == (["rests"], "DuplicateOrderId")
    assert seen["edited"] == [0.2, True, None], "ccxt reads no price of an open order"
    assert (seen["canceled"], seen["canceled again"]) == ("cancelled", "OrderNotFound")
    assert (seen["position"], seen["protected"]) == (["long", 0.5], ["lmt", "stop"])
    assert (seen["take profit"], seen["too large"]) == ("done", "BadRequest")
    assert (seen["post only"], seen["stop canceled"]) == ("OrderImmediatelyFillable", "cancelled")
    assert (seen["batch"], seen["all canceled"]) == (["open", "open"], 4)
    assert (seen["fills"], seen["closed"], seen["canceled orders"]) == ([["buy", 0.5]], ["bought"], True)
    assert (seen["mark candles"], seen["history"]) == (True, [4, 1, ["pf_xbtusd", "usd"]])
    assert (seen["others' trades"], seen["leverage too high"]) == ("done", "BadRequest")
    assert (seen["isolated"], seen["shared"]) == ([5, "isolated", 5], ["cross", {}])
    assert (seen["streamed ticker"], seen["streamed orders"]) == ("BTC/USD:USD", [True])
    bought, *exits = (("market", "buy", "0.5"), *((kind, "sell", "0.5") for kind in ("stop", "limit", "take_profit")))
    assert accepted(tmp_path) == [("limit", "buy", "0.1"), bought, *exits, *[("limit", "buy", "0.1")] * 3]


def test_python_kraken_sdk_at_the_kraken_face(kraken: Served, tmp_path: Path) -> None:
    seen = at_kraken(kraken, "kraken/sdk_session.py")
    assert seen["instruments"] == [XBT, "PF_ETHUSD", "PF_PEPEUSD"]
    assert (seen["tickers"], seen["book"]) == (3, ["asks", "bids"])
    assert (seen["trade candles"], seen["mark candles"]) == ([0, True], [0, True])
    assert seen["account"] == [100_000, 100_000, 0]
    assert (seen["rests"], seen["edited"]) == (["placed", ["rests"]], [0.2, 5])
    # These are refusals, which it returns as if they were successes.
    assert (seen["id again"], seen["canceled again"]) == ("clientOrderIdAlreadyExist", "notFound")
    assert (seen["too large"], seen["take profit"]) == ("maxPositionViolation", "placed")
    assert seen["only in the past"] == "placed", "the time until which it may be carried out was never sent"
    assert seen["reduces what isn't held"] == "wouldNotReducePosition"
    assert (seen["canceled"], seen["bought"]) == ("cancelled", ["placed", ["EXECUTION"]])
    assert seen["statuses"] == ["CANCELLED", "FULLY_EXECUTED"]
    assert (seen["position"], seen["stop"]) == (["long", 0.5], ["stop", "mark", True, False])
    assert (seen["isolated"], seen["shared"]) == ([[{"symbol": XBT, "maxLeverage": 5}], 5], [])
    assert (seen["batch"], seen["all canceled"], seen["fills"]) == (["placed", "placed"], 5, [["bought", 0.5]])
    assert seen["events of orders"] == ["OrderCancelled", "OrderPlaced", "OrderUpdated"]
    assert seen["events of triggers"] == ["OrderTriggerCancelled", "OrderTriggerPlaced"]
    assert seen["account log"] == [["pf_xbtusd", "futures trade"], ["usd", "futures trade"]]
    assert seen["wrong secret"] == "KrakenAuthenticationError"
    assert (seen["streamed ticker"], seen["streamed fill"]) == (XBT, [["heard", 0.1]])
    bought, stop = ("market", "buy", "0.5"), ("stop", "sell", "0.5")
    small, taken = ("limit", "buy", "0.1"), ("take_profit", "sell", "0.5")
    assert accepted(tmp_path) == [small, bought, stop, small, taken, small, small, ("market", "sell", "0.1")]


def test_cryptofeed_follows_the_book_and_the_trades_of_the_kraken_face(kraken: Served) -> None:
    if not PACKAGES["cryptofeed"].exists():
        pytest.skip(ABSENT)
    seen = at_kraken(kraken, "cryptofeed/session.py")
    assert seen["symbols"] == ["BTC-USD-PERP", "ETH-USD-PERP", "PEPE-USD-PERP"]
    assert (seen["levels"], seen["book after its changes"]) == ([5, 5, True], True)
    assert (seen["trades"], seen["bid"], seen["funding"]) == (["BTC-USD-PERP"] * 2, True, "BTC-USD-PERP")


@pytest.mark.parametrize(("place", "library", "version"), [("ibkr", "ib_async", 178), ("insync", "ib_insync", 176)])
def test_both_of_its_libraries_live_a_session_with_tws(
    place: str, library: str, version: int, request: pytest.FixtureRequest
) -> None:
    if not PACKAGES[place].exists():
        pytest.skip(ABSENT)
    futures: Served = request.getfixturevalue("futures")
    interpreter = str(PACKAGES[place] / "bin" / "python")
    seen = at_tws(futures, interpreter, str(HERE / "ibkr" / "library_session.py"), library)
    assert (seen["version"], seen["profit"], seen["continuous"], seen["found"]) == (version, True, ["ESZ6"], ["ES"])
    assert (seen["first bar"], seen["seconds"]) == (2025, 12)
    assert (seen["accounts"], seen["months"], seen["rule"]) == (1, ["ESZ6", "ESH7"], [0.25])
    assert seen["terms"] == [0.25, "50", "2026-11-23T16:00:00-06:00"]
    assert (seen["quote"], seen["bars"]) == (True, [5, True])
    assert (seen["margin"], seen["asked"]) == (True, [2.25, "PreSubmitted", 0])
    assert seen["alone"] == [[0, 0], 0]
    assert (seen["fee before"], seen["fee"]) == ("", 2.25)
    assert seen["statuses"] == ["Filled", "Submitted", "PreSubmitted"]
    assert seen["position"] == [1, True]
    assert seen["still open"] == ["ib-2"]
    assert seen["completed"] == [["ib-0", "Filled"], ["ib-1", "Cancelled"]]
    assert seen["executions"] == [["ib-0", "BOT"]]
    assert seen["again"] == [["ib-2", "PreSubmitted"]]


def test_a_client_in_another_language_lives_a_session_with_tws(node: str, futures: Served) -> None:
    seen = at_tws(futures, node, str(HERE / "js" / "stoqey_ib.mjs"))
    assert (seen["months"], seen["contract"]) == (["ESZ6", "ESH7"], {"minTick": 0.25, "multiplier": 50, "hours": 8})
    assert (seen["quote"], seen["bars"], seen["alone"]) == (True, True, 0)
    assert seen["legs"] == [["js-2", "js", 0, "Submitted"], ["js-3", "js", 0, "PreSubmitted"]]
    assert seen["position"] == [["ESZ6", 1, True]]
    assert seen["completed"] == [["js-1", "Filled"], ["js-2", "Cancelled"], ["js-3", "Cancelled"]]
    assert (seen["executions"], seen["commissions"]) == ([["js-1", "BOT", 1, ".01"]], [2.25])


def test_another_calendar_agrees_on_every_session_of_globex(ibkr: str) -> None:
    for group, rows in run((ibkr, str(HERE / "ibkr" / "globex.py")), {}).items():
        told = [(day, parse_time(begin), parse_time(end)) for day, begin, end in rows]
        assert told == [*HOURS[group].between("2026-01-01", "2027-12-31")]
