"""One session by `serve`, and by one-shots, some of them processes: equal decisions, equal orders at the exchange."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.kit.bot.folder import Bot, log, made
from tests.kit.bot.state import configure
from tests.suite.tiers import sized
from tradebot.adapters.facts.recorded_passes import KeptPasses
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.record import CycleRecord, Job
from tradebot.replaying.passes import read_record

TIMETABLE = """
timetable:
  {outcomes: null, parity: null, report: null, summary: null, audit: null,
   fetch-flow: every 1h from open+2m until close, score: at open+2m, evaluate-exits: every 15m from open+2m until close,
   trade-once: every 1h from open+2m until close-15m, reconcile: every 1h from open+1m until close}
"""
PROCESSES = sized(3, 20)
"""How many of the one-shots are their own processes."""
DECIDED = (Job.TRADE_ONCE, Job.EVALUATE_EXITS)
FLAGS = ("--symbols", "AAPL,MSFT", "--start", sized("2026-11-27", "2026-11-25"), "--sessions", "1")
"""The first is a half day."""


@pytest.fixture
def twins(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return two copies of one bot, each with its own exchange."""
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_FLOW_AGE_S", "7200")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_RECONCILE_AGE_S", "7200")
    with made(tmp_path / "served", *FLAGS) as served, made(tmp_path / "shots", *FLAGS) as shots:
        for path in (served, shots):
            configure(path, TIMETABLE)
        yield Bot(served, capsys), Bot(shots, capsys)


@pytest.mark.campaign
@pytest.mark.sampled
def test_a_session_by_serve_and_one_by_one_shots_have_equal_decisions_and_equal_logs(twins: tuple[Bot, Bot]) -> None:
    served, shots = twins
    process = served.process("serve", "--speed", "1000000", "--json")
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    lines = [json.loads(line)["data"] for line in out.splitlines()]
    passes = [(line["at"], line["job"]) for line in lines if line["kind"] == "ran" and line["job"] in set(Job)]
    assert len(passes) > 2 * PROCESSES
    run_one_by_one(shots, passes)
    assert cycles(served) == cycles(shots)
    assert changes(served) == changes(shots)
    assert [change for change in changes(served) if ".OPEN." in change], "something was traded"
    for bot in twins:
        again = bot.json("replay")
        assert again["equal"] == again["passes"] == sum(cycle.job in DECIDED for cycle in cycles(bot))
    assert outcomes(served) == outcomes(shots)
    assert len(outcomes(served)) > PROCESSES


def run_one_by_one(bot: Bot, passes: Sequence[tuple[str, str]]) -> None:
    """Run the verbs at the times at which `serve` ran them, every other one in its own process at first."""
    for number, (at, verb) in enumerate(passes):
        with open_app(Options(str(bot.folder), None), os.environ) as app:
            if app.engine.now() < datetime.fromisoformat(at):
                app.engine.tick_to(datetime.fromisoformat(at))
        if number % 2 and number < 2 * PROCESSES:
            process = bot.process(verb)
            assert process.communicate(timeout=60)[1] == ""
            assert process.returncode == 0
        else:
            assert bot.says(verb).code == 0


def cycles(bot: Bot) -> Sequence[CycleRecord]:
    """Return what was decided in the session, pass by pass."""
    with open_app(Options(str(bot.folder), None), os.environ) as app:
        found = [cycle for job in Job for cycle in app.facts.cycles(job=job)]
        return sorted(found, key=lambda cycle: (cycle.at, cycle.job))


def outcomes(bot: Bot) -> Mapping[str, bytes]:
    """Return the bytes that were kept of each pass's decisions."""
    with closing(KeptPasses(bot.folder, MemoryEvents(), 1)) as kept:
        records = {one.id: kept.record(one.id) for one in kept.passes()}
    return {name: read_record(*record, {}).outcome for name, record in records.items() if record}


def changes(bot: Bot) -> Sequence[str]:
    """Return what changed the exchange's account, as its log tells it; reads and the passing of time are left out."""
    return [text for event in log(bot.url) for text in _change(event)]


def _change(event: Mapping[str, Any]) -> Sequence[str]:
    if event["event"] == "request" and event["method"] != "GET" and event["path"].startswith("/v2"):
        return [f"{event['at']} {event['method']} {event['path']} {event['body']}"]
    return []
