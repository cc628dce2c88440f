"""Verbs beside a running `serve`, where one client id is all there is: each gets its turn, and `serve` goes on.

Real processes and real sockets; the exchange refuses a second connection with the same id, and its log is the judge.
"""

import json
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot.folder import InterpreterBot, discard
from tests.scenarios.test_ibkr_day import never_naked
from tests.suite import tiers
from tradebot.adapters.state import state_locks
from tradebot.errors import ExitCode
from tradebot.venues.ibkr.capabilities import ARRIVES_WITHIN

HELD = "venue.lock"
LOOKS = (("doctor", "--json"), ("reconcile",), ("positions", "--json"))
KILLS = 9


@pytest.fixture
def bot(here: Path) -> Iterator[InterpreterBot]:
    bot = InterpreterBot(here / "bot")
    try:
        for words in ("init --venue ibkr --profile futures", "exchange tick open", "exchange tick 2h"):
            code, out, err = ended(bot.process(*words.split()))
            assert code == 0, (out, err)
        yield bot
    finally:
        discard(bot.folder)


class Serving:
    """A `serve` in its own process, and the lines that it has written."""

    def __init__(self, bot: InterpreterBot) -> None:
        self.program = bot.process("serve", "--speed", "60", "--json")
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._reads, daemon=True)
        self._reader.start()

    def _reads(self) -> None:
        assert self.program.stdout is not None
        lines = self.lines
        for text in self.program.stdout:
            lines.append(json.loads(text)["data"])

    def ends(self, by: signal.Signals) -> int:
        """Send it a signal, and return how it ended; a pass that this stops isn't among its lines."""
        self.lines = [*self.lines]
        self.program.send_signal(by)
        try:
            return self.program.wait(60)
        finally:
            self.program.kill()
            self._reader.join(10)
            self.program.communicate()

    def ran(self, job: str, after: int = 0) -> None:
        """Wait until it has run a job, after so many lines."""
        for _ in range(6_000):
            if any((line["job"], line["kind"]) == (job, "ran") for line in self.lines[after:]):
                return
            assert self.program.poll() is None, self.program.communicate()
            time.sleep(0.01)
        raise AssertionError(f"no {job} in a minute: {self.lines[-5:]}")


@contextmanager
def serving(bot: InterpreterBot) -> Iterator[Serving]:
    """Run it for as long as the block does, and ask it to end."""
    one = Serving(bot)
    try:
        yield one
    finally:
        code = one.ends(signal.SIGTERM)
    assert code == 0


def ended(program: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = program.communicate(timeout=120)
    return program.returncode, out, err


def wait_for_positions(bot: InterpreterBot) -> None:
    """Wait until the strategy holds something, an hour and a half of trading time at most."""
    for _ in range(90):
        if json.loads(ended(bot.process("positions", "--json"))[1])["data"]["positions"]:
            return
        time.sleep(0.5)
    raise AssertionError("the strategy opened nothing")


def log(bot: InterpreterBot) -> list[dict[str, Any]]:
    lines = (bot.folder / "exchange" / "log.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def judge(bot: InterpreterBot, lines: list[dict[str, Any]]) -> None:
    """Check that nothing failed, nothing was sent twice, and nothing was held without a stop or an exit."""
    failed = [line["said"] for line in lines if line["kind"] == "failed"]
    assert not failed, failed
    events = [json.loads(line) for line in (bot.folder / "system_events.jsonl").read_text().splitlines()]
    wrong = [one for one in events if one["event_type"] in ("job_fault", "lane_stalled", "answer_differs")]
    assert not wrong, wrong
    rows = log(bot)
    sent = Counter(row["client_order_id"] for row in rows if row["event"] == "order_accepted")
    assert max(sent.values(), default=1) == 1
    never_naked(rows)


def agree(bot: InterpreterBot, code: int, out: str, err: str) -> None:
    """Check that a comparison found nothing, or only what a kill leaves for as long as the venue's adapter says.

    That is an order whose promise is kept, and which may still show up at the venue. Once it can't any more, the next
    pass gives it up, and books and broker agree.
    """
    if code == ExitCode.FINDINGS:
        assert {one["kind"] for one in json.loads(out)["data"]["findings"]} == {"unresolved"}, out
        minutes = ARRIVES_WITHIN // timedelta(minutes=1) + 1
        for words in (("exchange", "tick", f"{minutes}m"), ("evaluate-exits",), ("reconcile", "--json")):
            code, out, err = ended(bot.process(*words))
    assert code == 0, (out, err)


@pytest.mark.campaign
def test_verbs_beside_a_running_serve_get_their_turns_and_it_goes_on(bot: InterpreterBot) -> None:
    with serving(bot) as serve:
        serve.ran("trade-once")
        for words in (*LOOKS, *LOOKS):
            assert state_locks.holder(bot.folder, HELD) is not None
            code, out, err = ended(bot.process(*words))
            assert code == 0, (words, out, err)
            if words[0] == "doctor":
                rows = {row["subject"]: row["state"] for row in json.loads(out)["data"]["judgments"]}
                assert {rows[name] for name in ("broker", "socket", "login", "client_id", "account")} == {"OK"}
            serve.ran("evaluate-exits", len(serve.lines) + 1)
        wait_for_positions(bot)
        code, out, err = ended(bot.process("flatten", "--all", "--confirm", "ALL"))
        assert code == 0, (out, err)
        before = len(serve.lines)
        for job in ("evaluate-exits", "reconcile"):
            serve.ran(job, before + 1)
    judge(bot, serve.lines)


@pytest.mark.campaign
def test_a_kill_of_either_side_during_the_hand_over_leaves_the_other_its_turn(bot: InterpreterBot) -> None:
    chance = random.Random(tiers.seed())
    with serving(bot) as serve:
        serve.ran("trade-once")
        for number in range(KILLS):
            before = len(serve.lines)
            verb = bot.process(*LOOKS[number % len(LOOKS)])
            time.sleep(chance.uniform(0.1, 1.5))
            verb.kill()
            ended(verb)
            serve.ran("evaluate-exits", before)
    judge(bot, serve.lines)
    for _ in range(KILLS // 3):
        killed = Serving(bot)
        killed.ran("evaluate-exits")
        verb = bot.process("reconcile", "--json")
        time.sleep(chance.uniform(0, 1.0))
        killed.ends(signal.SIGKILL)
        agree(bot, *ended(verb))
        assert state_locks.holder(bot.folder, HELD) is None
        judge(bot, killed.lines)
