"""`tradebot search` on made-up funds: a verdict, and a sentence for everything that can't be searched."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from rich.console import Console

from commands.search import run_study
from commands.search.report import Searched, draw, render
from tests.kit.backtest.playing import FEW, FUND_CONFIGURATION, bars, bot
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Said
from tests.kit.trades import ASKED, returns_of, tried
from tradebot.__main__ import main
from tradebot.adapters.text.extras import install
from tradebot.app.settings import shipped_path
from tradebot.lab.backtest.results import Results
from tradebot.lab.search import workers
from tradebot.lab.search.space import SpaceChecked, TrialCounts
from tradebot.lab.search.trial import run_trial
from tradebot.lab.selection.verdict import SearchConclusion, best_of, judge_search, rank_trials
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.struct_tools import replace


def said_by(*arguments: str) -> Said:
    """Run a command line in this process."""
    before, out, err = signal.getsignal(signal.SIGTERM), io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main([*arguments])
    finally:
        signal.signal(signal.SIGTERM, before)
    return Said(code, out.getvalue(), err.getvalue())


def document(*arguments: str) -> dict[str, Any]:
    return dict(json.loads(said_by("search", *arguments, "--json").out))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the arguments of a search that was played, and its document."""
    place = bot(tmp_path_factory.mktemp("searched"), 100, edge=0.3)
    return place, document(*place, "--workers", "1")


def test_search_ends_with_a_verdict_and_counts_its_trials(searched: tuple[tuple[str, ...], dict[str, Any]]) -> None:
    place, found = searched
    data = found["data"]
    assert (found["verb"], data["trials"]["played"], data["trials"]["left"]) == ("search", 3, 0)
    verdict = data["verdict"]
    assert verdict["sentence"]
    assert [one["number"] for one in verdict["kept"]]
    assert {variant["name"] for variant in verdict["variants"]} == {"costs x2", "a session later"}
    assert len(Results(Path(place[-1])).trials("rotation")) == 3


def test_holding_is_that_of_the_market_file(searched: tuple[tuple[str, ...], dict[str, Any]]) -> None:
    place, found = searched
    rows = [line.split(",") for line in Path(place[2]).read_text().splitlines()[1:]]
    played = [row for row in rows if row[0] >= found["data"]["first_session"]]
    opens = {name: float(price) for _, name, price, *_ in reversed(played)}
    closes = {row[1]: float(row[5]) for row in played}
    grown = sum(closes[name] / opens[name] for name in opens) / len(opens) - 1
    assert found["data"]["verdict"]["held_return"] == pytest.approx(grown, abs=0.001)


def test_whole_search_taken_up_plays_none_and_says_the_same(searched: tuple[tuple[str, ...], dict[str, Any]]) -> None:
    place, found = searched
    with patch.object(workers.Pool, "run", side_effect=AssertionError("no trial is left")):
        again = document(*place, "--resume")
    assert again["data"]["verdict"] == found["data"]["verdict"]
    assert len(Results(Path(place[-1])).trials("rotation")) == 3


def test_same_command_again_names_resume(searched: tuple[tuple[str, ...], dict[str, Any]]) -> None:
    place, _ = searched
    refuses(said_by("search", *place), 2, "there is a study", "--resume")


def test_study_of_another_market_file_or_version_cannot_go_on(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    named = (*place, "--study", "mine", "--workers", "1")
    with patch.object(workers.Pool, "run"):
        said_by("search", *named)
    bars(tmp_path / "bars.csv", 50, seed=2, edge=0)
    refuses(said_by("search", *named, "--resume"), 2, "a different market file", "--study")
    bars(tmp_path / "bars.csv", 50, seed=1, edge=0)
    with patch("tradebot.lab.backtest.identity.__version__", "9.9"):
        newer = said_by("search", *named, "--resume")
    assert (newer.code, "another version" in newer.err) == (2, True)
    (tmp_path / "space.yaml").write_text(FEW + "seed: 9\n")
    assert "it has a different space" in said_by("search", *named, "--resume").err


def test_trial_is_the_backtest_of_its_values(searched: tuple[tuple[str, ...], dict[str, Any]], tmp_path: Path) -> None:
    place, found = searched
    best = found["data"]["verdict"]["best"]
    lookback = best["values"]["strategies.rotation.lookback_sessions"]
    config = tmp_path / "bot.yaml"
    config.write_text(FUND_CONFIGURATION.replace("lookback_sessions: 20", f"lookback_sessions: {lookback}"))
    market = ("--bars", place[place.index("--bars") + 1], "--config", str(config), "--state-dir", str(tmp_path))
    first = ("--from", found["data"]["first_session"])
    data = json.loads(said_by("backtest", *market, *first, "--recorder", "none", "--json").out)["data"]
    assert data["result"]["trades"] == best["trades"]
    (counted,) = Results(tmp_path).trials("rotation")
    assert counted.digest in {one.digest for one in Results(Path(place[-1])).trials("rotation")}
    alike = {one.digest: one for one in Results(Path(place[-1])).trials("rotation")}[counted.digest]
    assert alike.sharpe == pytest.approx(counted.sharpe)


def test_killed_worker_is_replaced_and_its_trial_played_once(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    marker = tmp_path / "killed"

    def play_or_die(*arguments: Any) -> Any:
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return run_trial(*arguments)

    with (
        patch.object(workers, "run_trial", play_or_die),
        patch.object(run_study, "_play_variants", lambda *_: ((), ())),
    ):
        data = document(*place, "--workers", "1")["data"]
    assert marker.exists()
    assert (data["trials"]["played"], data["trials"]["left"], data["trials"]["given_up"]) == (3, 0, 0)


def test_stopped_search_keeps_what_is_done_and_goes_on(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    hear, heard = workers.Pool._hear, []

    def stop_after_one(self: workers.Pool, *arguments: Any) -> None:
        hear(self, *arguments)
        heard.append(1)
        raise KeyboardInterrupt

    with patch.object(workers.Pool, "_hear", stop_after_one):
        stopped = said_by("search", *place, "--workers", "1")
    assert (stopped.code, "Stopped after 1 trial of 3" in stopped.err, "--resume" in stopped.err) == (130, True, True)
    assert "The best so far, in all sessions: " in stopped.err
    with patch.object(run_study, "_play_variants", lambda *_: ((), ())):
        data = document(*place, "--workers", "1", "--resume")["data"]
    assert (data["trials"]["played"], data["trials"]["left"]) == (3, 0)
    assert len(Results(tmp_path / "state").trials("rotation")) == 3


def test_too_few_trades_leave_no_verdict_and_say_what_to_do(tmp_path: Path) -> None:
    few = FEW.replace("min_trades: 1", "min_trades: 5000").replace("trials: 3", "trials: 2")
    place = bot(tmp_path, 50, space=few)
    shows(said_by("search", *place, "--workers", "1"), 0, "fewer than 5,000 closed trades", "lower min_trades")


def test_space_alone_can_be_checked(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    assert "The space is valid: 3 trials" in said_by("search", *place, "--check").out
    assert not (tmp_path / "state").exists()


def test_missing_extra_is_a_sentence(tmp_path: Path) -> None:
    place = bot(tmp_path, 50)
    with patch("commands.search.find_spec", return_value=None):
        found = said_by("search", *place)
    assert (found.code, install("search") in found.err) == (2, True)
    with patch("commands.search.find_spec", lambda name: None if name == "ray" else name):
        found = said_by("search", *place, "--on", "ray")
    assert (found.code, install("search,ray") in found.err) == (2, True)
    assert not (tmp_path / "state").exists()


def test_verb_and_schema_need_no_optuna() -> None:
    code = (
        "import sys; sys.modules['optuna'] = None; from commands.app import program; program('search');"
        "from commands.shared.schema import schema_of; print(schema_of('search')['title'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "What tradebot search --json prints"


@pytest.mark.campaign
def test_ten_searches_find_the_planted_edge_and_nothing_in_noise(tmp_path: Path) -> None:
    space, found = FEW.replace("trials: 3", "trials: 4"), dict[float, list[str]]()
    for seed in range(5):
        for edge in (0.0, 0.9):
            place = bot(tmp_path / f"{seed}-{edge}", 200, seed, edge, space)
            with patch.object(run_study, "_play_variants", lambda *_: ((), ())):
                found.setdefault(edge, []).append(document(*place)["data"]["verdict"]["found"])
    assert found[0.0].count("nothing") == 5, found
    assert found[0.9].count("nothing") <= 1, found


def one_contract(folder: Path) -> tuple[str, ...]:
    """Return the options of a bot of a single future."""
    profile, config = shipped_path("profiles/futures.yaml").read_text(), folder / "bot.yaml"
    named = ("universe: [MES", "universe: [MES]", "sectors:", "sectors: {MES: indexes}")
    lines = [line for line in profile.splitlines() if not line.startswith((named[0], named[2]))]
    config.write_text("\n".join((*lines, named[1], named[3])))
    return "--config", str(config), "--sessions", "2"


def one_coin(folder: Path) -> tuple[str, ...]:
    """Return the options of a bot of a single perpetual."""
    return "--profile", "smart_money", "--symbols", "1", "--sessions", "2"


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("market", "setting"),
    [(one_contract, "limits.max_open_positions: [6, 8]"), (one_coin, "strategies.smart_money.min_strength: [5, 25]")],
)
def test_search_at_another_venue_plays_its_trials_and_can_be_taken_up(
    tmp_path: Path, market: Callable[[Path], tuple[str, ...]], setting: str
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text(f"settings:\n  {setting}\nsampler: grid\nmin_trades: 1\n")
    words = (str(space), *market(tmp_path), "--state-dir", str(tmp_path / "bot"), "--workers", "1")
    data = document(*words)["data"]
    assert (data["trials"]["played"], data["trials"]["left"]) == (2, 0)
    with patch.object(workers.Pool, "run", side_effect=AssertionError("no trial is left")):
        again = document(*words, "--resume")["data"]
    assert (again["trials"], again["unjudged"]) == (data["trials"], data["unjudged"])


SETTING = "limits.max_open_positions"


def found_by(seed: int, sharpe: float, *variants: Variant) -> Searched:
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
    said = screen(found_by(1, 3.0, Variant(VariantKind.COSTS, "costs x2", 500, 90, 0.31, -0.1)))
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
    assert "7 of 100 drawn combinations aren't valid settings, for example because: these don't fit" in said
    assert "2 trials, fewer than 30 closed trades" in said
    assert "3 trials left, or run by other processes; to continue, run the same command with --resume" in said
    assert "in-sample and out of sample: sharpe; 40 more with --json" in said


def test_nothing_found_comes_without_commands() -> None:
    said = screen(found_by(2, 0.0))
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
    assert words in screen(replace(found_by(2, 0.0), verdict=None, trials=trials, longest=longest, commands=()))


def test_trials_without_a_verdict_are_listed_by_all_sessions_and_not_called_more() -> None:
    trials = tried(returns_of(1, 3.0))
    ranked = rank_trials(trials, ASKED.objective, ASKED.per_year)
    assert [each.inside for each in ranked] == sorted((each.inside or 0.0 for each in ranked), reverse=True)
    assert ranked[0].number == trials[best_of(trials, ASKED) or 0].number
    assert rank_trials((), ASKED.objective, ASKED.per_year) == ()
    said = screen(replace(found_by(1, 3.0), verdict=None, longest=70, commands=(), unjudged=ranked))
    assert (
        said.index("No verdict: ")
        < said.index("so this may be luck")
        < said.index("in-sample and out of sample: sharpe")
    )


@pytest.mark.campaign
def test_picture_shows_every_trial(tmp_path: Path) -> None:
    file = tmp_path / "search.svg"
    draw(found_by(1, 3.0), file)
    assert file.read_text().count("<use ") >= 50
