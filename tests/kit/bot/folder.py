"""A bot in its own folder, driven through the real command line."""

import atexit
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
import requests

from exchange.tests.kit.threads import of_this_process
from papervenue import process
from papervenue.private_files import TOKEN_FILE
from papervenue.state import LOCK_FILE, PORT_FILE, SERVER_LOG_FILE
from tests.kit.bot import forked
from tests.kit.bot.state import configure
from tests.suite.meter import METER
from tradebot.__main__ import main

PROGRAM = forked.PROGRAM
UNIVERSE = "AAPL,MSFT,NVDA,AMZN"
EASY = """limits: {min_score: 0.01, min_coverage: 0.1}
strategies: {flow: {min_cluster: 1, lookback_s: 7200, limits: {min_score: 0.01, min_coverage: 0.1}}}
"""
"""Settings under which four symbols trade within half an hour."""
OTHER_STRATEGIES = {"--venue", "--profile"}
"""Options of `init` that bring strategies of their own, so that EASY, which is for flow, would set them twice."""
KEYS = {"APCA-API-KEY-ID": "sandbox", "APCA-API-SECRET-KEY": "sandbox"}


_FLAGS: dict[Path, tuple[str, ...]] = {}
"""With which flags each bot was made that got no settings of its own."""
_OF_A_PROCESS = {f"exchange/{name}" for name in (PORT_FILE, LOCK_FILE, SERVER_LOG_FILE, TOKEN_FILE)}


class Said(NamedTuple):
    """How one command line ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Return the data of its JSON document."""
        return json.loads(self.out)["data"]


class Bot:
    """Types command lines, in this process unless its own process is what is tested."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capture = capture

    def says(self, *arguments: str) -> Said:
        """Run a command line in this process; the bot's own folder is taken out of the commands that it proposes."""
        code, *texts = typed(self._capture, *arguments, *self._place(arguments))
        return Said(code, *(text.replace(f" --state-dir {self.folder}", "") for text in texts))

    def does(self, *lines: str) -> None:
        """Run command lines one after the other, each of which has to end well."""
        for line in lines:
            said = self.says(*line.split())
            assert said.code == 0, f"{line}: {said}"

    def json(self, *arguments: str) -> Any:
        """Run a command line with --json and return the document's data."""
        return self.says(*arguments, "--json").data

    def process(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a command line in its own process, a copy of this one."""
        return forked.start([*arguments, *self._place(arguments)], stdin)

    def shown(self, *arguments: str) -> str:
        """Return what a command line shows a person, with what differs from run to run replaced."""
        return blank(self.says(*arguments).out, self.folder)

    @property
    def url(self) -> str:
        """Return the address of the bot's exchange."""
        return process.ensure_running(self.folder / "exchange").url

    def tail(self) -> str:
        """Return the last four characters of the account's number."""
        marker = json.loads((self.folder / "state.id").read_text())
        return str(marker["account_number"][-4:])

    def _place(self, arguments: Sequence[str]) -> list[str]:
        return [] if "--state-dir" in arguments else ["--state-dir", str(self.folder)]


class InterpreterBot:
    """Types command lines in new interpreters, for what a copy of this process would share with it: a connection."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder, self._environ = folder, os.environ | environ

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command line."""
        return start([str(PROGRAM), *arguments, "--state-dir", str(self.folder)], environ=self._environ)

    def type(self, words: str, ends: Sequence[int] = (0,)) -> str:
        """Run a command line to its end, which has to be one of these, and return what it prints."""
        with self.process(*words.split()) as program:
            out, err = program.communicate(timeout=120)
        assert program.returncode in ends, f"{words}: {program.returncode}\n{out}{err}"
        return out


def at_once(*arguments: str) -> list[Said]:
    """Run a command line in two processes at once and return how each run ended."""
    gate, opening = os.pipe()
    # Each of them is there when `start` returns, and waits for its byte.
    both = [forked.start(arguments, gate, first=_wait) for _ in range(2)]
    os.write(opening, b"go")
    for end in (gate, opening):
        os.close(end)
    try:
        texts = [program.communicate(timeout=120) for program in both]
    finally:
        for program in both:
            program.kill()
    return [Said(program.returncode, *said) for program, said in zip(both, texts, strict=True)]


def _wait() -> None:
    os.read(0, 1)


def passes_in(folder: Path) -> list[str]:
    """Return the ids of the passes that are kept in a bot's folder, oldest first."""
    with closing(sqlite3.connect(folder / "passes.db")) as database:
        return [name for (name,) in database.execute("SELECT id FROM passes ORDER BY at, id")]


def typed(capture: pytest.CaptureFixture[str], *arguments: str) -> Said:
    """Run a command line in this process."""
    before = signal.getsignal(signal.SIGTERM)
    capture.readouterr()
    try:
        code = main(list(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)
    return Said(code, *capture.readouterr())


def blank(text: str, folder: Path) -> str:
    """Replace folder, port, process id and a person's clock, and cut trailing spaces."""
    text = text.replace(str(folder), "STATE")
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"by (user )?\w+/\d+ at [-\d]+ [:\d]+ (ET|UTC)", r"by \1WHO at WHEN", text)
    text = re.sub(r"account …\w{4}", "account …TAIL", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def start(
    command: Sequence[str], stdin: int = subprocess.DEVNULL, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start a program with its output in pipes."""
    pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environ}
    return subprocess.Popen(command, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


@contextmanager
def made(folder: Path, *flags: str, settings: str = "") -> Iterator[Path]:
    """Copy a sandbox bot of four symbols that trades readily, with more settings; discard it afterwards."""
    shutil.copytree(_prepared(flags), folder)
    try:
        process.ensure_running(folder / "exchange")
        if settings:
            configure(folder, settings)
        else:
            _FLAGS[folder] = flags
        yield folder
    finally:
        discard(folder)


@contextmanager
def made_beside(folder: Path, **held: str) -> Iterator[Path]:
    """Make a bot whose account held these shares before its books began; discard it afterwards."""
    from tradebot.app import sandbox
    from tradebot.app.settings import load

    flags = {"mode": "sandbox", "universe": UNIVERSE.split(","), "sandbox": {"sessions": 2}}
    sandbox.create(folder / "exchange", load(None, {}, flags).settings)
    try:
        url = sandbox.start(folder / "exchange")
        for number, (symbol, quantity) in enumerate(held.items(), 1):
            order_by_hand(url, symbol, quantity, f"by-hand-{number}")
        into_session(url)
        assert main(["init", "--state-dir", str(folder), "--symbols", UNIVERSE, "--sessions", "2"]) == 0
        yield folder
    finally:
        discard(folder)


def discard(folder: Path) -> None:
    """End the exchange of a bot that nobody needs any more, sparing the tidying and the snapshot of a stop."""
    threads = of_this_process()
    if threads and threads.discard(folder / "exchange"):
        return
    endpoint = process.running_endpoint(folder / "exchange")
    if endpoint:
        METER.unwatch(endpoint.pid)
        os.kill(endpoint.pid, signal.SIGKILL)


def into_session(url: str) -> None:
    """Let the exchange's time go two minutes into its next session."""
    for to in ({"to": "open"}, {"seconds": 120}):
        assert requests.post(f"{url}/exchange/v1/tick", json=to, timeout=60).status_code == 200


@cache
def _prepared(flags: tuple[str, ...]) -> Path:
    """Make such a bot once a process, whatever settings the first test that wants one has in its environment."""
    folder = Path(tempfile.mkdtemp()) / "state"
    atexit.register(shutil.rmtree, folder.parent)
    with patch.dict(os.environ):
        for name in [name for name in os.environ if name.startswith("TRADEBOT_")]:
            del os.environ[name]
        assert main(["init", "--state-dir", str(folder), "--symbols", UNIVERSE, "--sessions", "2", *flags]) == 0
        process.stop(folder / "exchange")
        if not OTHER_STRATEGIES & set(flags):
            configure(folder, EASY)
    return folder


def second_session(bot: Bot) -> None:
    """Bring a bot half an hour into its second session, which has a previous close, with flow and compared books.

    One on which nothing was done since it was made becomes a copy of one that was brought there before.
    """
    flags = _FLAGS.get(bot.folder)
    if flags is None or any(name.startswith("TRADEBOT_") for name in os.environ) or not _is_as_made(bot.folder, flags):
        _bring(bot)
        return
    source = _brought(flags)
    if not source.exists():
        shutil.copytree(_prepared(flags), source)
        _bring(Bot(source, bot._capture))
        process.stop(source / "exchange")
    discard(bot.folder)
    shutil.rmtree(bot.folder)
    shutil.copytree(source, bot.folder)
    process.ensure_running(bot.folder / "exchange")


def _bring(bot: Bot) -> None:
    steps = (("close",), ("next_open",), ("30m",))
    for step in steps:
        assert bot.says("exchange", "tick", *step).code == 0
    bot.does("fetch-flow", "reconcile")


def _brought(flags: tuple[str, ...]) -> Path:
    return _prepared(flags).with_name("brought")


def _is_as_made(folder: Path, flags: tuple[str, ...]) -> bool:
    """Return whether a bot's folder, and its exchange, have what those of the prepared bot have."""
    return _contents(folder) == _contents(_prepared(flags))


def _contents(folder: Path) -> dict[str, bytes]:
    """Return all files of a bot but those that tell of the process of its exchange."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name not in _OF_A_PROCESS}


def order_by_hand(url: str, symbol: str, quantity: str, name: str, side: str = "buy") -> None:
    """Send a market order past the bot, as its owner might from elsewhere."""
    body = {"symbol": symbol, "qty": quantity, "side": side, "type": "market", "time_in_force": "day"}
    answer = requests.post(f"{url}/v2/orders", headers=KEYS, json={**body, "client_order_id": name}, timeout=60)
    assert answer.status_code == 200, answer.text


def log(url: str) -> list[dict[str, Any]]:
    """Return the exchange's log: the judge of what was sent."""
    answer = requests.get(f"{url}/exchange/v1/log", params={"limit": "10000"}, timeout=60).json()
    return list(answer["events"])
