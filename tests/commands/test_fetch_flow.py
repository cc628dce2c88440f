"""`tradebot fetch-flow`: each endpoint's counts and the age of its newest row; and asking about one thing by name."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import requests

from commands.fetch_flow import run as fetch_flow
from commands.shared.verb_options import Report
from tests.kit.bot import forked
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, made
from tests.kit.fakes.machine import Timer
from tests.kit.values import SHIPPED
from tradebot.adapters.state import state_locks
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.desk import fetching
from tradebot.errors import ExitCode, TradebotError
from tradebot.model.fact_kind import AnyKind
from tradebot.model.flow import FlowPage
from tradebot.model.record import Job
from tradebot.ports.world import FlowSource

BOT_FLAGS = ("--symbols", "AAPL,MSFT")
assert SHIPPED.strategies.flow is not None
KINDS = SHIPPED.strategies.flow.kinds()
CALLS = 2 * len(KINDS)
"""The calls of a whole fetch of two symbols: by default, no kind is about the whole market."""


def test_fetch_shows_the_age_of_each_endpoints_newest_row(bot: Bot) -> None:
    bot.does("exchange tick next_open", "exchange tick 1h")
    found = bot.json("fetch-flow")
    by_name = {row["endpoint"]: row for row in found["endpoints"]}
    assert set(by_name) == KINDS
    assert by_name["dark_pool"]["newest"].startswith("2026-11-16T15:")
    assert 0 <= by_name["dark_pool"]["newest_age_s"] < 1800
    assert by_name["oi_change"]["newest"] == "2026-11-16"
    assert by_name["oi_change"]["newest_age_s"] is None
    assert found["quota_used_today"] == found["calls"] == CALLS
    assert found["quota_left_this_minute"] > 0


def test_rows_that_came_during_a_slow_request_are_as_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with made(tmp_path / "state", "--symbols", "AAPL,MSFT,NVDA", "--sessions", "1") as path:
        slow = Bot(path, capsys)
        slow.says("exchange", "tick", "1h")
        rules = "- {name: slow, when: {request: any flow}, what: {slow_answer: 20s}}"
        assert requests.post(f"{slow.url}/exchange/v1/faults", data=rules, timeout=30).status_code == 200
        found = slow.json("fetch-flow")
        assert found["failures"] == []
        by_name = {row["endpoint"]: row for row in found["endpoints"]}
        assert {name: row["rejected"] for name, row in by_name.items() if "future" in str(row["rejected"])} == {}
        assert by_name["dark_pool"]["newest"] > found["at"], "no row came while the source was asked"
        assert all(row["newest_age_s"] is None or row["newest_age_s"] >= 0 for row in by_name.values())


def test_named_endpoint_is_fetched_at_once_without_using_the_slot(bot: Bot) -> None:
    bot.says("exchange", "tick", "5m")
    found = bot.json("fetch-flow", "--endpoint", "oi-change", "--symbol", "msft")
    assert [(row["endpoint"], row["calls"]) for row in found["endpoints"]] == [("oi_change", 1)]
    assert bot.json("fetch-flow", "--symbol", "AAPL")["calls"] == len(KINDS)
    assert bot.json("fetch-flow", "--endpoint", "dark_pool")["calls"] == 2
    own = bot.json("fetch-flow")
    assert (own["calls"], own["not_due"]) == (1, CALLS - 1)


def test_fetch_shows_ages_and_quota(bot: Bot) -> None:
    shown = bot.shown("fetch-flow", "--endpoint", "oi_change", "--endpoint", "dark_pool")
    header, *_, quota = shown.splitlines()
    assert header == "Flow of session 2026-11-16 at 2026-11-16 10:35:00 ET: 4 calls, 0 new facts"
    assert "s old" in shown
    assert quota.startswith("Quota: ")


@pytest.mark.parametrize(
    ("option", "name", "words"),
    [
        ("--endpoint", "flow_alrts", "did you mean flow_alerts?"),
        ("--endpoint", "zzz", "one of flow_alerts, dark_pool"),
        ("--symbol", "AAPX", "did you mean AAPL"),
    ],
)
def test_unknown_endpoint_is_refused_with_the_nearest_name(bot: Bot, option: str, name: str, words: str) -> None:
    refuses(bot.says("fetch-flow", option, name), 2, words)


def test_only_what_the_strategies_in_use_read_is_fetched(bot: Bot, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    zero = "dark_pool: 0, oi_change: 0, smile_slope: 0"
    mine.write_text(f"strategies: {{flow: {{weights: {{{zero}}}}}}}")
    found = bot.json("fetch-flow", "--symbol", "AAPL", "--config", str(mine))
    assert [row["endpoint"] for row in found["endpoints"]] == ["flow_alerts", "options_volume", "insider"]
    said = bot.says("fetch-flow", "--endpoint", "dark_pool", "--config", str(mine))
    assert (said.code, "no strategy in use needs dark_pool" in said.err) == (2, True)
    mine.write_text("strategies: {flow: null, gone: {}}")
    shows(bot.says("fetch-flow", "--force-slot", "--config", str(mine)), 0, "No strategy in use reads options flow.")


class Waiting:
    """A flow source during whose first answer something else happens; then it answers as the real one."""

    def __init__(self, source: FlowSource, meanwhile: Callable[[], object]) -> None:
        self.source = source
        self.meanwhile = meanwhile
        self.asked = 0

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        self.asked += 1
        if self.asked == 1:
            self.meanwhile()
        return self.source.fetch(kind, symbol, session)


def fetched(bot: Bot, meanwhile: Callable[[App], object]) -> Report:
    """Fetch everything, doing something else while the first answer is awaited."""
    bot.says("exchange", "tick", "5m")
    with open_app(Options(str(bot.folder)), os.environ) as app:
        app.__dict__["flow"] = Waiting(app.flow, lambda: meanwhile(app))
        return fetch_flow.run(app, by="test", force_slot=True)


@pytest.mark.usefixtures("waiting")
def test_a_fetch_needs_the_pass_lock_for_its_claim_only(bot: Bot) -> None:
    with ExitStack() as held:
        report = fetched(bot, lambda app: held.enter_context(state_locks.hold(app.folder.path, "a long pass")))
        assert str(state_locks.holder(bot.folder)).startswith("a long pass, process ")
        assert (report.exit_code, report.data.calls) == (ExitCode.DONE, CALLS)
        with open_app(Options(str(bot.folder)), os.environ) as app:
            (last,) = app.facts.cycles(job=Job.FETCH_FLOW, last=1)
            assert (last.at, last.quota is not None) == (report.data.at, True)
        assert "a long pass" in bot.says("fetch-flow").err


def test_a_second_fetcher_leaves_after_five_seconds_and_names_the_first(bot: Bot, waiting: Timer) -> None:
    said = []

    def meanwhile(app: App) -> None:
        with open_app(Options(str(bot.folder)), os.environ) as second, pytest.raises(TradebotError) as failed:
            fetch_flow.run(second, by="test", force_slot=True)
        said.append(failed.value)

    assert fetched(bot, meanwhile).data.calls == CALLS
    assert [error.code for error in said] == [ExitCode.ANOTHER_INSTANCE]
    assert "fetch-flow, process " in said[0].message
    assert 5 <= waiting.now < 5.1


def test_fetch_keeps_answers_before_a_kill_and_the_next_slot_fetches_the_rest(bot: Bot) -> None:
    bot.does("exchange tick close", "exchange tick next_open", "exchange tick 2m")
    asked = []

    def killed_at_the_fifth(*request: Any) -> object:
        asked.append(request)
        if len(asked) == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return ask(*request)

    ask = fetching._ask
    killed = forked.run(
        ["fetch-flow", "--state-dir", str(bot.folder)], first=lambda: setattr(fetching, "_ask", killed_at_the_fifth)
    )
    assert killed.returncode == -signal.SIGKILL
    assert state_locks.holder(bot.folder, state_locks.FETCH_LOCK) is None
    assert bot.json("fetch-flow")["reason"] == "SLOT_TAKEN"
    bot.says("exchange", "tick", "5m")
    # Two alerts are due again; the two dark pools that were answered are not, and everything else never was.
    found = bot.json("fetch-flow")
    assert (found["calls"], found["not_due"]) == (CALLS - 2, 2)
