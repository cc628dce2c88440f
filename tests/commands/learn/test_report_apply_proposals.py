"""Proposals in the person's own configuration: each only if it loads then, one after the other."""

from pathlib import Path

import pytest

from commands.learn.report import FittedConfiguration, fit_proposals
from tests.kit.bot.folder import Bot
from tradebot.adapters.text.yaml_loader import parse_yaml
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.lab.learn.values import Item, Proposal

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
def test_value_that_does_not_load_is_left_out_and_says_why(
    bot: Bot, tmp_path: Path, setting: str, proposed: str, why: str
) -> None:
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
