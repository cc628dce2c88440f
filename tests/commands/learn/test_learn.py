"""`tradebot learn`: what closed trades propose, with their evidence; and a configuration with that, if asked for."""

from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from commands.shared.evidence import evidence_of, figures_of
from tests.commands.trades.test_trades import trade
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.judging.evidence import SessionEvidence
from tradebot.model.candidate import Side

FLOW = "strategies.flow.weights.flow"
STEP = f"  {FLOW}: 0.4 -> 0.42"
CLOSED = 31
"""So many trades earn something, and one more is open."""


def booked(folder: Path) -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        for number in range(CLOSED):
            trade(ledger, 60 + 4 * number, "AAPL", Side.BUY, 10, "100")
            trade(ledger, 62 + 4 * number, "AAPL", Side.SELL, 10, "103", "profit_target(3%)")
        trade(ledger, 250, "MSFT", Side.BUY, 10, "50")


def settings_of(bot: Bot) -> dict[str, dict[str, object]]:
    return {str(one["setting"]): one for one in bot.json("learn")["proposals"]}


def test_weight_that_was_right_is_proposed_with_its_evidence_and_nothing_changes(reader: Bot) -> None:
    own = (file for file in reader.folder.iterdir() if file.is_file() and file.name != EVENTS)
    before = {file: file.read_bytes() for file in own}
    shows(
        reader.says("learn"),
        0,
        STEP,
        f"Right in {CLOSED} of {CLOSED} trades (100%; 95% interval 89% to 100%)",
        f"Learned from {CLOSED} closed trades until",
        "Not counted: 1 open trade.",
        "Nothing is changed.",
    )
    data = reader.json("learn")
    assert (data["proposed"], data["trades"]["open"], data["file"], data["unknown"]) == (1, 1, None, {})
    one = settings_of(reader)[FLOW]
    assert (one["item"], one["value"], one["proposed"], one["n"], one["looser"]) == ("weights", "0.4", "0.42", 31, True)
    assert {file: file.read_bytes() for file in before} == before


def test_health_tells_when_learn_last_ran_and_what_it_proposed(reader: Bot) -> None:
    reader.json("learn")
    with open_app(Options(str(reader.folder)), {}) as app:
        evidence = evidence_of(app)
        assert isinstance(evidence.past, SessionEvidence)
        seen = figures_of(app, evidence.past).last_learn
    assert seen is not None
    assert (seen.trades, seen.proposed, seen.file) == (CLOSED, (FLOW,), None)


def test_written_configuration_is_accepted_and_names_what_is_looser(reader: Bot, tmp_path: Path) -> None:
    file, own = tmp_path / "learned.yaml", tmp_path / "own.yaml"
    own.write_text("# mine\nlimits:\n  max_open_positions: 12  # fewer\n")
    said = reader.says("learn", "--write", str(file), "--config", str(own))
    assert said.code == 0
    assert file.read_text().startswith(own.read_text())
    assert load_yaml(file)["strategies"] == {"flow": {"weights": {"flow": Decimal("0.42")}}}
    assert f"{FLOW} was accepted as 0.4 and is 0.42 ({file})" in said.out
    shows(reader.says("config", "check", str(file)), 0, "is valid", FLOW)
    refuses(reader.says("learn", "--write", str(own), "--config", str(own)), 2, "learning changes nothing by itself")


def test_proposal_that_something_outranks_or_that_does_not_load_is_left_out(
    reader: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__WEIGHTS__FLOW", "0.4")
    one = settings_of(reader)[FLOW]
    assert one["proposed"] is None
    assert "TRADEBOT_STRATEGIES__FLOW__WEIGHTS__FLOW sets another value" in str(one["why_not"])
    monkeypatch.delenv("TRADEBOT_STRATEGIES__FLOW__WEIGHTS__FLOW")
    own = tmp_path / "own.yaml"
    own.write_text("strategies: {flow: {weights: {\n  flow: 0.4,  # a comment\n}}}\n")
    assert reader.json("learn", "--config", str(own))["proposed"] == 1


@pytest.mark.parametrize("width", [60, 80, 120])
def test_screen_fits_the_terminal(reader: Bot, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    said = reader.says("learn")
    assert max(map(len, said.out.splitlines())) <= width
    assert "Nothing is changed." in said.out


def test_books_without_trades_propose_nothing_and_a_strategy_that_is_not_in_use_is_refused(copy: Bot) -> None:
    shows(
        copy.says("learn", "--explain"),
        0,
        "Nothing is proposed.",
        "Learned from 0 closed trades",
        "30 more closed trades and 8 more sessions with closed trades are needed.",
    )
    file = copy.folder.parent / "learned.yaml"
    unwritten = copy.says("learn", "--write", str(file))
    assert (unwritten.code, f"{file} isn't written: nothing is proposed" in unwritten.err, file.exists()) == (
        0,
        True,
        False,
    )
    refuses(copy.says("learn", "--strategy", "rotation"), 2, "rotation isn't in use", "flow")
