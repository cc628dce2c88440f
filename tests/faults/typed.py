"""The installed command line in real processes, ended by signals at moments that nobody chose."""

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout, suppress
from io import StringIO
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from papervenue import process
from tests.kit.bot.state import configure
from tests.kit.judge import account as judge
from tests.kit.judge import protection
from tests.kit.venues import ALPACA
from tradebot.__main__ import main
from tradebot.adapters.ledger.ledger import SqliteLedger

PROGRAM = Path(sys.executable).with_name("tradebot")
LIMITS = "limits: {cooldown_s: 1, max_order_notional_usd: 1000}\n"
ENTRIES = ("trade-once", "--candidates")
WANTED = ({"AAPL": "buy", "MSFT": "sell", "JPM": "buy"}, {"NVDA": "buy", "XOM": "sell", "AMZN": "buy"})
VERBS = ("entries", "evaluate-exits", "entries", "reconcile")
TRIES = 3
UNBORN = b"Fatal Python error: init_import_site"
"""What Python says when an interrupt ends it before it has read the program; it exits with 1 then."""
UNDISTURBED = {0, 3, 10}
"""What a verb that nothing disturbed may end with: done, refused by the trading state, findings."""


class End(NamedTuple):
    """How a verb ended, whether it still lived when its signal was sent, and what it said then."""

    kind: signal.Signals
    code: int
    met: bool
    said: str = ""


class Typist:
    """Types verbs at one bot's folder, each in its own process, and knows when the bot was halted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.halts: list[tuple[int, int]] = []
        self.took_s: dict[str, float] = {}

    def must(self, *words: str) -> None:
        """Run a verb that nothing disturbs, in this process, because a start takes ten times its work."""
        before = signal.getsignal(signal.SIGTERM)
        said = StringIO()
        try:
            with redirect_stdout(said), redirect_stderr(said):
                code = main(self._command(words)[1:])
        finally:
            signal.signal(signal.SIGTERM, before)
        assert code in UNDISTURBED, (words, code, said.getvalue())

    def time(self, *words: str) -> None:
        """Type a verb that nothing disturbs, to know how long it lives."""
        began = time.monotonic()
        subprocess.run(self._command(words), capture_output=True, timeout=120, check=True)
        self.took_s[words[0]] = time.monotonic() - began

    def disturbed(self, words: tuple[str, ...], kind: signal.Signals, chance: random.Random) -> "End":
        """Type a verb, send it a signal at some moment of its life, and tell how it ended.

        The first third is left out: there only Python itself is at work. On a machine with other work Python may still
        be starting then, and a signal that ends it is what ended the verb. What is stopped goes on after a moment. One
        that is done before its moment tells how long such a verb lives by now.
        """
        began, moment = time.monotonic(), self.took_s[words[0]] * chance.uniform(0.3, 1.0)
        with TemporaryFile() as said:
            child = subprocess.Popen(self._command(words), stdout=subprocess.DEVNULL, stderr=said)
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(timeout=moment)
                self.took_s[words[0]] = time.monotonic() - began
                return End(kind, code, met=False)
            child.send_signal(kind)
            if kind is signal.SIGSTOP:
                time.sleep(0.05)
                child.send_signal(signal.SIGCONT)
            code = child.wait(timeout=120)
            said.seek(0)
            last = said.read()
            return End(kind, -kind if last.startswith(UNBORN) else code, met=True, said=last.decode(errors="replace"))

    def halt(self) -> None:
        """Halt, undisturbed: from its return on the venue may take no entry."""
        self.must("halt")
        self.halts.append((len(self.log()), sys.maxsize))

    def unhalt(self) -> None:
        """End the halt."""
        self.halts.append((self.halts.pop()[0], len(self.log())))
        number = json.loads((self.folder / "state.id").read_text())["account_number"]
        self.must("unhalt", "--confirm", number[-4:])

    def tick(self, words: str) -> None:
        """Let time pass."""
        self.must("exchange", "tick", words)

    def entries(self, number: int) -> tuple[str, ...]:
        """Return the verb that proposes one of the lists of candidates."""
        path = self.folder.with_name(f"wanted-{number % 2}.jsonl")
        lines = (
            {"symbol": symbol, "side": side, "score": 0.9 if side == "buy" else -0.9}
            for symbol, side in WANTED[number % 2].items()
        )
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return (*ENTRIES, str(path))

    def log(self) -> list[dict[str, Any]]:
        """Return the exchange's log: the judge."""
        lines = (self.folder / "exchange" / "log.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines]

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [str(PROGRAM), *words, "--state-dir", str(self.folder)]


@contextmanager
def sat_down(folder: Path, symbols: tuple[str, ...] = ALPACA.symbols) -> Iterator[Typist]:
    """Yield a typist whose bot stands half an hour into its second session, with each verb timed."""
    typist = Typist(folder)
    try:
        typist.must("init", "--symbols", ",".join(symbols), "--sessions", "3")
        configure(folder, LIMITS)
        for step in ("close", "next_open", "30m"):
            typist.tick(step)
        for verb in ("reconcile", "trade-once", "evaluate-exits"):
            typist.time(verb)
        yield typist
    finally:
        process.stop(folder / "exchange")


def disturbed_day(typist: Typist, kinds: list[signal.Signals], seed: int) -> list[End]:
    """Type verbs until each signal has met one, with a halt among them now and then; return how they ended.

    More than TRIES times as many are not typed.
    """
    chance, ends, number, wanted = random.Random(seed), list[End](), 0, list(reversed(kinds))
    # Of a short day the signals may end every pass of entries; this one gives the judge an order in any case.
    typist.must(*typist.entries(0))
    for turn, verb in zip(range(TRIES * len(kinds)), cycle(VERBS), strict=False):
        if not wanted:
            break
        halted = turn % 7 == 6
        number += halted or verb == "entries"
        if halted:
            typist.halt()
        words = typist.entries(number) if halted or verb == "entries" else (verb,)
        ends.append(typist.disturbed(words, wanted[-1], chance))
        if ends[-1].met:
            wanted.pop()
        if halted:
            typist.unhalt()
            typist.tick("5m")
    return ends


def broken_promises(typist: Typist) -> list[str]:
    """Let the bot come to rest, and return what the exchange's log says was broken."""
    typist.must("evaluate-exits")
    typist.must("flatten", "--all", "--confirm", "ALL")
    for step in ("1m", "6m"):
        typist.tick(step)
        typist.must("flatten", "--all", "--confirm", "ALL")
    for step in ("1m", "close", "next_open"):
        typist.tick(step)
    typist.must("reconcile")
    events = typist.log()
    ((number, account),) = judge.accounts(events).items()
    with closing(SqliteLedger.open(typist.folder, read_only=True)) as ledger:
        ledger.tallies.compare_journal()
        book = ledger.totals().positions
        held = [f"{who} holds {p.quantity} {what}" for (who, what), p in book.items() if p.quantity]
        mark = ledger.last_reconcile()
        return [
            *account.doubles,
            *judge.turned(account),
            *judge.unrecorded(account, judge.Promises(typist.folder).now()),
            *judge.lost_fills(account, ledger),
            *judge.halted_entries(events, number, typist.halts),
            *protection.broken(events, number, typist.folder, protection.sessions_of(typist.folder / "exchange")),
            *held,
            *([] if mark and not mark.findings else [f"the last comparison: {mark}"]),
        ]
