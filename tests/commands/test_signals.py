"""`tradebot signals`: the health of each signal, from the bot's own records alone."""

from contextlib import closing
from datetime import datetime

import pytest

from tests.kit.bot.ending import shows
from tests.kit.bot.folder import Bot, second_session
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.model.fact_kind import Breach, ContractFinding
from tradebot.model.flow import Intake

GONE = ContractFinding(Breach.GONE, "price", 50, "{'size': 404}")
NEW = ContractFinding(Breach.NEW, "mood", 1, "'good'")


def reply(bot: Bot, at: str, *findings: ContractFinding, kind: str = "dark_pool", symbol: str = "AAPL") -> None:
    when = datetime.fromisoformat(at)
    with closing(SqliteFacts(bot.folder, MemoryEvents(), when)) as facts:
        facts.store(Intake(kind, symbol, when, 50, (), 0, 0, (), findings, {}))


@pytest.fixture
def fetched(bot: Bot) -> Bot:
    """Return the module's bot half an hour into a session, once, with flow and scores."""
    if not (bot.folder / "facts.db").exists() or not bot.json("signals")["components"]:
        second_session(bot)
        assert bot.says("score").code == 0
    return bot


def test_signals_before_the_first_session_are_unknown_without_findings(bot: Bot) -> None:
    said = bot.says("signals")
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines[0] == "Signals at 2026-11-16 09:00:00 ET; the market is closed"
    assert [line.split()[0] for line in lines[2:-2]] == ["UNKNOWN"] * len(lines[2:-2])
    assert lines[-2:] == ["Nothing was scored yet. Next: tradebot score", "Nothing to look at."]


def test_signals_in_a_session_show_their_evidence(fetched: Bot) -> None:
    data = fetched.json("signals")
    assert (data["as_of"], data["market_open"], data["findings"]) == ("2026-11-17T15:00:00Z", True, 0)
    kinds = {kind["name"]: kind for kind in data["kinds"]}
    assert {kind["state"] for kind in kinds.values()} == {"HEALTHY"}
    alerts = kinds["flow_alerts"]
    assert (alerts["core"], alerts["wanted"], alerts["answered"], alerts["match_rate"]) == (True, 4, 4, 1.0)
    assert (alerts["age_s"], alerts["drifts"]) == (0.0, [])
    assert alerts["null_rate"] is not None
    assert {part["state"] for part in data["components"]} == {"HEALTHY"}
    assert all(part["used"] <= part["symbols"] == 4 for part in data["components"])


def test_a_broken_contract_is_critical_closes_entries_and_shows_an_example(fetched: Bot) -> None:
    reply(fetched, "2026-11-17T15:00:00Z", GONE, NEW)
    shows(
        fetched.says("signals"),
        10,
        "CRITICAL  dark_pool (core)",
        "\n  broken dark_pool: the field price is gone in 50 of ",
        ", such as {'size': 404}\n",
        "\n  differs dark_pool: a new field mood in 1 of ",
    )
    traded = fetched.json("trade-once", "--force-slot")
    assert traded["orders"] == 0
    for row in traded["rows"]:
        assert "CORE_CONTRACT_BROKEN" in [decision["reason"] for decision in row["decisions"]]
    assert "dark_pool: the field price is gone in 50 of " in fetched.says("why-no-orders", "AAPL").out


def test_status_and_audit_name_a_broken_contract(fetched: Bot) -> None:
    assert "dark_pool: the field price is gone in 50 of " in fetched.says("status").out
    (item,) = [item for item in fetched.json("audit")["judgments"] if item["subject"] == "dark_pool"]
    assert (item["state"], item["next"]) == ("FAILED", "tradebot signals")
    assert "the field price is gone in 50 of " in item["found"]
    assert "{'size': 404}" in item["found"]
    assert item["found"].endswith("this blocks entries")


def test_changed_rows_of_a_source_are_found_by_the_next_fetch(fetched: Bot) -> None:
    assert fetched.says("exchange", "faults", "add", "drifting-flow").code == 0
    for step in (("exchange", "tick", "15m"), ("fetch-flow",), ("exchange", "faults", "clear")):
        said = fetched.says(*step)
        assert said.code == 0, said.err
        if step == ("fetch-flow",):
            assert "differs dark_pool: premium has another type in " in said.out
            assert "differs flow_alerts: another ticker in " in said.out
    kinds = {kind["name"]: kind for kind in fetched.json("signals")["kinds"]}
    for name, found in (("dark_pool", "premium has another type"), ("flow_alerts", "another ticker")):
        assert (kinds[name]["state"], kinds[name]["drifts"][0]["broken"]) == ("CRITICAL", True)
        assert kinds[name]["why"].startswith(found)
    alerts = kinds["flow_alerts"]
    # The sentence is about the newest replies; the counts beside it are of all replies lately.
    of_newest = [int(word) for word in alerts["why"].split() if word.isdigit()]
    assert all(each <= most for each, most in zip(of_newest, (alerts["bad"], alerts["rows"]), strict=True))
    assert round((1 - alerts["match_rate"]) * alerts["rows"]) <= alerts["bad"] <= alerts["rows"]


def test_healthy_signals_are_unknown_once_the_market_sleeps(fetched: Bot) -> None:
    steps = (("exchange", "tick", "15m"), ("fetch-flow",), ("exchange", "tick", "close"), ("reconcile",))
    assert [fetched.says(*step).code for step in steps] == [0] * len(steps)
    data = fetched.json("signals")
    states = {kind["name"]: kind["state"] for kind in data["kinds"]}
    assert (states["flow_alerts"], states["dark_pool"]) == ("UNKNOWN", "UNKNOWN")
    assert (data["market_open"], data["findings"]) == (False, 0)
