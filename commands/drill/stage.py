"""The environment of a drill: a separate bot on a separate embedded exchange, in a temporary folder.

Each verb runs as its own process, as a person, cron or systemd would run it. The exchange's log shows what happened.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests
from msgspec import Struct, field

from tradebot.adapters.state.state_folder import EXCHANGE
from tradebot.adapters.state.subprocess_runner import TO_START
from tradebot.app import sandbox
from tradebot.errors import TradebotError

HOST = "127.0.0.1"
SYMBOLS = "AAPL,MSFT,JPM,SPY"
EASY = """limits: {min_score: 0.01, min_coverage: 0.1}
strategies: {flow: {min_cluster: 1, lookback_s: 7200, limits: {min_score: 0.01, min_coverage: 0.1}}}
notify: {channels: {drill: {}}}
"""
"""Settings under which these symbols trade within half an hour; all others are as shipped."""
LIMIT_S = 120.0
WAIT_S = (5.0, 30.0)
ROUNDS = 12


class VerbResult(Struct, frozen=True):
    """The result of a verb: its exit code, its error, and its data, if it printed a document."""

    code: int
    error: str
    data: Mapping[str, Any]


class DrillCheck(Struct, frozen=True):
    """One expected consequence, whether it occurred, and the evidence."""

    what: str
    held: bool
    found: str


class Stage(Struct):
    """The bot of a drill, with the steps taken so far (`steps`) and what the checks found (`checks`)."""

    folder: Path
    notices: list[str]
    notify_at: str
    steps: list[str] = field(default_factory=list)
    checks: list[DrillCheck] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def url(self) -> str:
        return sandbox.start(self.state / EXCHANGE)

    def command(self, *words: str) -> tuple[list[str], dict[str, str]]:
        """Return the command line of a verb on this bot, and its environment without the owner's keys."""
        child_env = {name: text for name, text in os.environ.items() if name in TO_START or name.startswith("PYTHON")}
        environment = {**child_env, "NOTIFY_DRILL": self.notify_at}
        return [sys.executable, "-m", "tradebot", *words, "--state-dir", str(self.state)], environment

    def says(self, *words: str, typed: str | None = None) -> VerbResult:
        """Run a verb to its end, and record it as a step."""
        command, environment = self.command(*words, "--json")
        self.steps.append(f"tradebot {' '.join(words)}")
        try:
            done = subprocess.run(  # noqa: S603 - this interpreter and our own program
                command,
                input=typed,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
                check=False,
                env=environment,
                cwd=self.folder,
            )
        except subprocess.TimeoutExpired:
            return VerbResult(-1, f"it took longer than {LIMIT_S:.0f} s", {})
        try:
            document = json.loads(done.stdout)
        except ValueError:
            return VerbResult(done.returncode, (done.stderr or done.stdout).strip(), {})
        error = document.get("error") or {}
        return VerbResult(done.returncode, error.get("message", ""), document.get("data") or {})

    def must(self, *words: str) -> VerbResult:
        """Run a verb that the drill itself needs. Raises TradebotError if it fails."""
        result = self.says(*words)
        if result.code not in (0, 10):
            raise TradebotError(
                f"the drill's own bot couldn't run {' '.join(words)}: {result.error}", "tradebot doctor"
            )
        return result

    def check(self, what: str, is_met: bool, observed: object) -> None:
        """Record an expected consequence, whether it occurred, and the evidence."""
        self.checks.append(DrillCheck(what, bool(is_met), _in_words(observed) or "nothing"))

    def log(self) -> list[dict[str, Any]]:
        """Return the exchange's log, which shows all orders sent."""
        answer = requests.get(f"{self.url}/exchange/v1/log", params={"limit": "10000"}, timeout=WAIT_S)
        return list(answer.json()["events"])

    def entries(self) -> list[str]:
        """Return the ids of the entries that the exchange accepted."""
        accepted = (event for event in self.log() if event.get("event") == "order_accepted")
        return [str(event["client_order_id"]) for event in accepted if ".OPEN." in str(event["client_order_id"])]

    def resting(self) -> list[str]:
        """Return the symbols with a working stop at the exchange."""
        ended = {"filled", "canceled", "expired", "replaced", "rejected"}
        orders = requests.get(f"{self.url}/v2/orders?status=open&nested=false", headers=KEYS, timeout=WAIT_S).json()
        return sorted(o["symbol"] for o in orders if o["type"].startswith("stop") and o["status"] not in ended)

    def positions(self) -> dict[str, str]:
        """Return the bot's positions at the exchange: shares by symbol."""
        rows = requests.get(f"{self.url}/v2/positions", headers=KEYS, timeout=WAIT_S).json()
        return {row["symbol"]: row["qty"] for row in rows}

    def part(self, name: str) -> str:
        """Return the current health of a part of the bot."""
        judged = self.says("health").data.get("judgments", ())
        return next((f"{each['state']}: {each['found']}" for each in judged if each["subject"] == name), "not judged")

    def messages(self) -> str:
        """Return all messages sent to people so far."""
        self.says("notify", "send")
        return "\n".join(self.notices)


def _in_words(observed: object) -> str:
    if isinstance(observed, Mapping):
        return ", ".join(f"{name} {each}" for name, each in observed.items())
    return ", ".join(map(str, observed)) if isinstance(observed, list) else str(observed).strip()


KEYS = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox"}
"""The keys that the embedded exchange accepts."""


@contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """Create a bot with positions and stops in the middle of a session; its exchange stops at the end of the block.

    Raises TradebotError if that isn't possible on this machine.
    """
    folder.mkdir(parents=True)
    with _receiving() as (notices, address):
        stage = Stage(folder, notices, address)
        try:
            stage.must("init", "--mode", "sandbox", "--symbols", SYMBOLS, "--sessions", "2", "--seed", "7")
            with (stage.state / "tradebot.yaml").open("a", encoding="utf-8") as file:
                file.write(f"\n{EASY}")
            stage.must("config", "accept", "--confirm", _tail(stage))
            _trade(stage)
            stage.must("notify", "send")
            stage.steps.clear()
            notices.clear()
            yield stage
        finally:
            sandbox.stop(stage.state / EXCHANGE)


def _tail(stage: Stage) -> str:
    command, environment = stage.command("status", "--json")
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False, env=environment)  # noqa: S603
    return str(json.loads(done.stdout)["account"])


def _trade(stage: Stage) -> None:
    for to in ("open", "30m"):
        stage.must("exchange", "tick", to)
    for _ in range(ROUNDS):
        for words in (("fetch-flow",), ("reconcile",), ("trade-once", "--force-slot")):
            stage.must(*words)
        stage.must("exchange", "tick", "1m")
        stage.must("evaluate-exits", "--force-slot")
        if stage.positions() and stage.resting():
            return
        stage.must("exchange", "tick", "5m")
    raise TradebotError("the drill's own bot found nothing to buy", "run the drill again")


@contextmanager
def _receiving() -> Iterator[tuple[list[str], str]]:
    """Receive the drill's notices on this machine."""
    got: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notice = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            got.append(f"{notice['title']}: {notice['text']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Receiver)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield got, f"http://{HOST}:{server.server_port}/drill"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
