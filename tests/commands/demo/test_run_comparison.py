"""What came of a run beside the last one, and which settings were changed."""

from decimal import Decimal
from pathlib import Path

import pytest

from commands.demo.run_comparison import (
    FILE,
    DemoRun,
    RunOutcome,
    compare_with_previous,
    last_run,
    render,
    run_of,
    store_run,
)
from commands.shared.verb_options import console
from tradebot.app.settings import load
from tradebot.model.struct_tools import replace

OUTCOME = RunOutcome(
    candidates=1500, orders=20, fills=32, closed=12, won=8, open_positions=8, result_usd=Decimal("174.49"),
    refused={"SCORE_BELOW_MIN": 62, "COOLDOWN": 3},
)  # fmt: skip
PLAYED = {"sessions": 1, "minutes": 390}


def ran(outcome: RunOutcome = OUTCOME, played: dict[str, int] | None = None, **flags: object) -> DemoRun:
    return run_of(load(None, {}, flags).settings, played or PLAYED, outcome)


def test_changed_settings_and_their_outcome_are_shown_with_the_change(capsys: pytest.CaptureFixture[str]) -> None:
    now = replace(OUTCOME, orders=9, result_usd=Decimal("80"), refused={"SCORE_BELOW_MIN": 62, "MAX_OPEN_POSITIONS": 4})
    data = compare_with_previous(ran(), ran(now, limits={"max_open_positions": 5}))
    assert [(one.name, one.values) for one in data.settings] == [("limits.max_open_positions", ("20", "5"))]
    render(console(), data)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for row in (
        "limits.max_open_positions 20 5",
        "candidates 1,500 1,500",
        "orders 20 9 -11",
        "result USD +174.49 +80.00 -94.49",
        "SCORE_BELOW_MIN 62 62",
        "COOLDOWN 3 0 -3",
        "MAX_OPEN_POSITIONS 0 4 +4",
        "One of them closed only 12 trades, so a difference may well be chance.",
    ):
        assert row in rows


def test_the_same_run_again_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    render(console(), compare_with_previous(ran(), ran()))
    assert capsys.readouterr().out == ""


def test_a_difference_that_settings_dont_explain_is_said() -> None:
    other_market = ran(limits={"max_open_positions": 5}, sandbox={"seed": 9, "sessions": 3})
    assert compare_with_previous(ran(), other_market).cautions[0].startswith("They differ in sandbox.seed too")
    assert not compare_with_previous(ran(), ran(limits={"max_open_positions": 5})).cautions[0].startswith("They differ")


def test_another_strategy_is_one_row_and_not_one_for_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    data = compare_with_previous(ran(), ran(strategies={"flow": None, "mine": {}}))
    assert len(data.settings) > 20
    render(console(), data)
    assert "strategies.flow  " in (shown := capsys.readouterr().out)
    assert "strategies.flow.min_cluster" not in shown


def test_a_kept_run_is_the_last_one_and_a_damaged_or_missing_one_is_none(tmp_path: Path) -> None:
    assert last_run(tmp_path) is None
    store_run(tmp_path, ran())
    assert last_run(tmp_path) == ran()
    for damage in ("", "{", '{"settings": {}}', '{"settings": {"a": 1}, "outcome": {}}', "\udcff"):
        (tmp_path / FILE).write_text(damage, errors="surrogateescape")
        assert last_run(tmp_path) is None
