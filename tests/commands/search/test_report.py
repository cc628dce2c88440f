"""The screen of a search: the verdict first, with what it rests on, and commands only for what may be believed."""

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from commands.search.report import Searched, draw, render
from tests.kit.trades import ASKED, returns_of, tried
from tradebot.lab.search.space import SpaceChecked, TrialCounts
from tradebot.lab.selection.verdict import SearchConclusion, best_of, judge_search, rank_trials
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.struct_tools import replace

SETTING = "limits.max_open_positions"


def searched(seed: int, sharpe: float, *variants: Variant) -> Searched:
    judged = judge_search(tried(returns_of(seed, sharpe)), ASKED, variants)
    assert judged is not None
    return Searched(
        name="mine", venue="somewhere", storage="mine.journal", space="space.yaml", sampler="random",
        objectives=("sharpe",), sessions=500, first_session=date(2024, 1, 2), last_session=date(2025, 12, 30),
        workers=2, elapsed_s=90.0, checked=SpaceChecked(100, 7, "these don't fit"), trials=TrialCounts(52, 3, 0, 2, 0),
        longest=1, left_out={"fewer than 30 closed trades": 2}, verdict=judged,
        commands=(f"tradebot config set {SETTING} 4",) if judged.found is SearchConclusion.EDGE else (),
    )  # fmt: skip


def screen(data: Searched) -> str:
    out = io.StringIO()
    render(Console(file=out, width=120), data)
    return out.getvalue()


def test_screen_says_the_verdict_and_what_it_rests_on() -> None:
    said = screen(searched(1, 3.0, Variant(VariantKind.COSTS, "costs x2", 500, 90, 0.31, -0.1)))
    assert said.index("There is an edge") < said.index("Luck") < said.index("Trials, best first")
    for part in (
        "reality check 0.",
        "SPA 0.",
        "Overfitting",
        "Deflated",
        "Plateau",
        "Costs x2     +31.00%",
        "Best five",
    ):
        assert part in said
    assert "tradebot config set" in said
    assert "7 of 100 drawn combinations, such as: these don't fit" in said
    assert "2 trials, fewer than 30 closed trades" in said
    assert "3 trials left, or run by other processes: the same command with --resume continues" in said
    assert "in-sample and out of sample: sharpe; 40 more with --json" in said


def test_nothing_found_comes_without_commands() -> None:
    said = screen(searched(2, 0.0))
    assert "Nothing found" in said
    assert "config set" not in said


@pytest.mark.parametrize(
    ("trials", "longest", "words"),
    [
        (TrialCounts(9, 0, 0, 9, 0), 0, "9 of 9 trials had too few trades"),
        (TrialCounts(9, 0, 0, 0, 0), 70, "A position was held for 70 sessions"),
        (TrialCounts(0, 20, 0, 0, 0), 0, "The space is valid: 20 trials with 2 workers"),
    ],
)
def test_screen_without_a_verdict_says_why(trials: TrialCounts, longest: int, words: str) -> None:
    assert words in screen(replace(searched(2, 0.0), verdict=None, trials=trials, longest=longest, commands=()))


def test_trials_without_a_verdict_are_listed_by_all_sessions_and_not_called_more() -> None:
    trials = tried(returns_of(1, 3.0))
    ranked = rank_trials(trials, ASKED.objective, ASKED.per_year)
    assert [each.inside for each in ranked] == sorted((each.inside or 0.0 for each in ranked), reverse=True)
    assert ranked[0].number == trials[best_of(trials, ASKED) or 0].number
    assert rank_trials((), ASKED.objective, ASKED.per_year) == ()
    said = screen(replace(searched(1, 3.0), verdict=None, longest=70, commands=(), unjudged=ranked))
    assert (
        said.index("No verdict: ")
        < said.index("so this may be luck")
        < said.index("in-sample and out of sample: sharpe")
    )


@pytest.mark.campaign
def test_picture_shows_every_trial(tmp_path: Path) -> None:
    file = tmp_path / "search.svg"
    draw(searched(1, 3.0), file)
    assert file.read_text().count("<use ") >= 50
