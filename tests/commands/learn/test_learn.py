"""`tradebot learn`: what closed trades propose, with their evidence; and a configuration with that, if asked for."""

from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from commands.learn.learn_inputs import ShorterOutcomes, setting_of
from commands.learn.report import FittedConfiguration, fit_proposals
from commands.shared.evidence import evidence_of, figures_of
from tests.commands.trades.test_trades import trade
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.trades import DAY, OPEN, Told, numbered_sessions, session
from tests.kit.trades import trade as closed_trade
from tests.kit.values import LIMITS
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.adapters.text.yaml_loader import load_yaml, parse_yaml
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.thresholds import LOOSER, setting_at
from tradebot.app.wiring import open_app
from tradebot.judging.evidence import SessionEvidence
from tradebot.lab.learn.knobs import HoldingTimeLimit
from tradebot.lab.learn.learn import LearnedStrategy, LearningMaterial, WatchedStrategies
from tradebot.lab.learn.values import Item, Proposal
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate

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
    refuses(reader.says("learn", "--write", str(own), "--config", str(own)), 2, "learn never changes that")


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
    assert unwritten.code == 0
    assert f"{file} isn't written, because there are no proposals" in unwritten.err
    assert not file.exists()
    refuses(copy.says("learn", "--strategy", "rotation"), 2, "rotation isn't in use", "flow")


EXITS = WatchedStrategies("", frozenset({"flow"}), None, None, HoldingTimeLimit("exits.time_exit_s", 14_400))


class Priced(Told):
    """Prices that rise by a dollar each minute from 100 on, for half of the session, of one symbol."""

    def __init__(self) -> None:
        self.session = session(0)

    def price(self, symbol: str, at: datetime) -> float | None:
        minutes = (at - OPEN).total_seconds() / 60
        return 100 + minutes if symbol == "S1" and minutes <= 300 else None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # Entered at minute 60 and closed at 220, which ends at 321 USD; 84 minutes after the entry it was 244.
        ({"held": timedelta(minutes=160)}, {5040: -770.0, 7200: -410.0, 10_800: None}),
        ({"held": timedelta(minutes=160), "side": "short"}, {5040: 770.0, 7200: 410.0}),
        ({"held": timedelta(minutes=160), "multiplier": Decimal(2)}, {7200: -820.0}),
        ({"held": timedelta(minutes=84)}, {5040: None, 7200: None}),
        ({"held": timedelta(minutes=260)}, {5040: None}),
        ({"held": timedelta(minutes=160), "symbol": "S2"}, {5040: None}),
        ({"held": timedelta(minutes=160), "in_session": 1}, {5040: None}),
    ],
)
def test_price_of_a_shorter_time_is_held_against_that_of_the_exit(
    fields: dict[str, object], expected: dict[int, float | None]
) -> None:
    made = closed_trade(1, 10, minutes=60, **fields)  # type: ignore[arg-type]
    flow = LearnedStrategy("flow", {}, LIMITS, asked_each_time=True)
    material = LearningMaterial([made], numbered_sessions(3), DAY, [flow], [EXITS], None)
    left = ShorterOutcomes(material)
    left.add(Priced())
    (one,) = material.outcomes
    assert {after_s: left(one, after_s) for after_s in expected} == expected
    assert left.has_outcomes is any(value is not None for value in expected.values())


@pytest.mark.parametrize(
    ("own", "setting"),
    [(None, "limits.min_score"), (0.9, "strategies.flow.limits.min_score"), (0.1, "limits.min_score")],
)
def test_the_setting_of_a_gate_is_the_one_whose_limit_is_in_force(own: float | None, setting: str) -> None:
    limits = {"limits": {"min_score": own}} if own else {}
    settings = load(None, {}, {"limits": {"min_score": 0.5}, "strategies": {"flow": limits}}).settings
    found = setting_of(settings, "flow", Gate.SCORE)
    assert found is not None
    assert (found.key, setting_of(settings, "not there any more", Gate.SCORE)) == (
        setting,
        setting_at(settings, ("limits", "min_score"), LOOSER),
    )
    assert setting_of(settings, "flow", Gate.POSITIONED) is None


RULES = "strategies:\n  flow:\n    exits: [{stop_loss: {fraction: 0.02}}, {time_exit: {after_s: 14400}}]  # mine\n"


def proposal(setting: str, value: str, proposed: str, part: str = "", strategy: str = "flow") -> Proposal:
    known = {"n": 40, "unit": "", "observed": 1.0, "low": 0.5, "high": 1.5, "missing": 0, "missing_sessions": 0}
    return Proposal(Item.EXITS, strategy, setting, value, proposed, **known, evidence="", part=part)  # type: ignore[arg-type]


def fit(bot: Bot, own: Path, *proposals: Proposal) -> FittedConfiguration:
    with open_app(Options(str(bot.folder), str(own)), {}) as app:
        return fit_proposals(app, str(own), own.with_name("learned.yaml"), proposals)


def test_number_of_a_list_of_exit_rules_is_changed_in_its_place(bot: Bot, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(RULES)
    found = fit(
        bot,
        own,
        proposal("strategies.flow.exits", "0.02", "0.015", "stop_loss"),
        proposal("strategies.flow.exits", "14400", "7200", "time_exit"),
    )
    assert parse_yaml(found.text) == parse_yaml(RULES.replace("0.02", "0.015").replace("14400", "7200"))
    assert found.text.endswith("# mine\n")
    assert [one.looser for one in found.proposals] == [True, True]
    assert "strategies.flow.exits" in {row.name for row in found.looser}


@pytest.mark.parametrize(
    ("setting", "proposed", "why"),
    [
        ("exits.stop_loss_fraction", "0.5", "a full book"),
        ("strategies.flow.min_score", "0.3", "there is no such setting"),
        ("strategies.flow.weights.insider", "-1", "must be"),
    ],
)
def test_unloadable_value_is_left_out_with_why(bot: Bot, tmp_path: Path, setting: str, proposed: str, why: str) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("tax: {method: fifo}\n")
    good = proposal("strategies.flow.limits.min_score", "0.2", "0.25")
    found = fit(bot, own, proposal(setting, "", proposed), good)
    left_out, kept = found.proposals
    assert (left_out.proposed, why in left_out.why_not, left_out.looser) == (None, True, False)
    # A tighter limit needs nobody's consent.
    assert (kept.proposed, kept.looser) == ("0.25", False)
    assert kept.setting not in {row.name for row in found.looser}
    assert parse_yaml(found.text) == parse_yaml(
        "{tax: {method: fifo}, strategies: {flow: {limits: {min_score: 0.25}}}}"
    )


def test_value_whose_lines_have_comments_is_left_to_the_person(bot: Bot, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text(RULES.replace("}}, {time", "}},  # tight\n      {time"))
    (found,) = fit(bot, own, proposal("strategies.flow.exits", "0.02", "0.015", "stop_loss")).proposals
    assert (found.proposed, "comments, which would be lost" in found.why_not) == (None, True)
