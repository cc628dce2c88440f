"""Alpaca clients that share no code with alpaca-py live through an order's whole life; the exchange's log is the judge.

They are development tools: `make clients` fetches them, and without it these tests skip, saying so.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, needed, served

HERE = Path(__file__).parent
PACKAGES = {"js": HERE / "js" / "node_modules", "python": HERE / "python" / ".venv"}
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
    with served(tmp_path, "--symbols", "AAPL,MSFT,SPY", "--start", "2025-03-03") as lab:
        yield lab


def live(lab: Lab, *command: str) -> dict[str, Any]:
    """Run a client's story and return its steps; the last line of its output is its report."""
    settings = {"EXCHANGE_URL": lab.url, "APCA_API_KEY_ID": "sandbox", "APCA_API_SECRET_KEY": "sandbox"}
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
