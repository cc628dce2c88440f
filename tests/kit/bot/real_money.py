"""A bot of real money in a test: its wire, and nothing of ours, is bent to an exchange on loopback.

The adapters keep their exact list of hosts. What they send to Alpaca's live addresses is turned round in the library
below them, at the transport, to the sandbox of another bot, whose log is the judge; any other host is refused.
"""

import io
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
from urllib3 import BaseHTTPResponse, HTTPConnectionPool, connection_from_url

from tests.kit.bot.folder import EASY
from tests.kit.bot.state import make_state
from tests.kit.fakes.machine import table
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import state_folder
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app.loading import Options, load_for
from tradebot.app.promotion_status import digest_of
from tradebot.app.wiring import App, open_app
from tradebot.model.promotion import Promotion, Rung
from tradebot.venues.alpaca.wire import DATA_URL, LIVE_URL, PAPER_URL

HOSTS = frozenset({urlsplit(url).netloc for url in (LIVE_URL, PAPER_URL, DATA_URL)})
SETTINGS = (
    f"mode: live\nalpaca: {{feed: iex}}\nuniverse: [AAPL, MSFT, NVDA, AMZN]\nexits: {{time_exit_s: 1800}}\n{EASY}"
    "unusual_whales: {calls_per_minute: 12000}\n"
)
"""No test waits for the minute of a flow source that is a sandbox's."""
KEYS = {"ALPACA_KEY": "sandbox", "ALPACA_SECRET": "sandbox", "UW_API_KEY": "sandbox"}


def spoken(tail: str) -> dict[str, str]:
    """Return all that the environment has to say before real money is traded."""
    return {"TRADEBOT_LIVE": tail, "ALLOW_ORDERS": "true", "ENABLE_ORDER_EXEC": "1", "DRY_RUN": "false"}


@contextmanager
def bent_to(url: str) -> Iterator[list[str]]:
    """Turn requests for Alpaca's hosts round to an address on loopback; yield what was turned, as it goes."""
    turned, send = list[str](), HTTPConnectionPool.urlopen
    sandbox = connection_from_url(url, timeout=60, retries=False)

    def bent(own: HTTPConnectionPool, method: str, url: str, *args: Any, **kwargs: Any) -> BaseHTTPResponse:
        if own.host == "127.0.0.1":
            return send(own, method, url, *args, **kwargs)
        assert own.scheme == "https"
        assert own.host in HOSTS, f"a request for {own.host}"
        turned.append(f"{method} {own.host}{urlsplit(url).path}")
        return send(sandbox, method, url, *args, **kwargs)

    # Their folders last, whatever disk this machine keeps tests on.
    with pytest.MonkeyPatch.context() as patch, table(b"/dev/vda / ext4 rw 0 0\n"):
        patch.setattr(HTTPConnectionPool, "urlopen", bent)
        # These bots trade in real time: to them, the machine's clock has to be the exchange's.
        patch.setattr(App, "second_time", lambda app: LockStepClock(url).now_or_none())
        yield turned


@contextmanager
def made_in_its_time(url: str) -> Iterator[None]:
    """Let `init` of paper or live take the exchange's clock for this machine's too."""

    class Exchanges(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            found = LockStepClock(url).now_or_none()
            assert found is not None
            return cls.fromtimestamp(found.timestamp(), tz)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("commands.init.making.datetime", Exchanges)
        yield


def real_folder(sandbox: Path, folder: Path, mode: str = "live") -> Path:
    """Make the state of a bot of real money, or of paper, whose account is the one of a sandbox."""
    with open_app(Options(str(sandbox)), {}) as app:
        clock, account = app.reader.clock(), app.reader.account()
    make_state(
        folder, account.number, clock.now, SETTINGS.replace("mode: live", f"mode: {mode}"), mode=mode, cash=account.cash
    )
    if mode == "live":
        # The strategy, and the candidates that a test submits.
        promote(folder)
        promote(folder, name="own")
    return folder


def promote(folder: Path, rung: Rung = Rung.LIVE, name: str = "flow") -> Promotion:
    """Write that a person let a strategy of a bot trade without evidence."""
    settings = load_for(state_folder.open_state(folder), Options(str(folder)), os.environ).settings
    digest, sentence = digest_of(settings, name), f"{name} trades {rung.words} without evidence"
    assert digest is not None
    written = Promotion(name, rung, digest, "test", datetime.now(UTC), sentence=sentence)
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.promotions.append(written)
    return written


class Terminal(io.StringIO):
    """A person at a keyboard, who has typed this."""

    def isatty(self) -> bool:
        return True


@contextmanager
def at_a_terminal(typed: str) -> Iterator[None]:
    """Let the verbs of this process find a person who types these words."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", Terminal(f"{typed}\n"))
        yield


@contextmanager
def environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set, or with None unset, these names for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in values.items():
            patch.delenv(name, raising=False) if text is None else patch.setenv(name, text)
        yield


def writes(folder: Path) -> list[tuple[str, str]]:
    """Return each order and cancel that the exchange was ever asked for, by its own log."""
    lines = (folder / "exchange" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    asked = [event for event in map(json.loads, lines) if event["event"] == "request"]
    return [(event["method"], event["path"]) for event in asked if event["path"].startswith("/v2/")]


def lines_for(path: Path, symbol: str) -> Path:
    """Write a candidate of a person's own."""
    path.write_text(json.dumps({"symbol": symbol, "side": "buy", "score": 0.9}) + "\n")
    return path
