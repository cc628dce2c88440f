"""A trained model is a draft that can be signed, and it learned from its span alone.

The logistic regression is the one that minimizes its penalized loss.
Networks that PyTorch trains are exported as they answer there. They are trained only where it is installed.

`make campaigns` runs this in .venv-rl, which `make demo-learning` makes; without that, it says what is missing.
"""

import subprocess
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.market.futures import futures_venue
from papervenue.market.spec import Source
from tests.lab.learning.arrays.drawing import plan as on_arrays
from tests.lab.learning.test_environment import SCALING, START, plan
from tradebot.adapters.models.files import load_draft
from tradebot.adapters.models.model_worker import member_of, self_test
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.lab.learning.arrays.engine_choice import ChosenEpisodes
from tradebot.lab.learning.environment import EpisodeTerms, event_driven_episode
from tradebot.lab.learning.training import training_rows as reading
from tradebot.lab.learning.training.job import DivergedError, TrainingJob
from tradebot.lab.learning.training.training import TrainingSpan, TrainingSummary, regression, span_of, train
from tradebot.lab.learning.training.training_rows import RecordingScaling, SessionRange
from tradebot.learning.model_card import CONFIGURATION
from tradebot.model.decision import Decision
from tradebot.model.struct_tools import replace

NAMES = ("rsi_14", "return_3")
JOB = TrainingJob("logistic", 3, 0, {}, NAMES)


@cache
def span() -> TrainingSpan:
    return span_of(plan(5), "policy", NAMES)


def test_draft_is_what_its_span_says_and_the_same_each_time(tmp_path: Path) -> None:
    model = load_draft(train(JOB, span(), tmp_path / "one", TrainingSummary((3,), 7)).place)
    again = load_draft(train(JOB, span(), tmp_path / "two", TrainingSummary((3,), 7)).place)
    assert (model.graph, model.probe, model.scaling) == (again.graph, again.probe, again.scaling)
    card = model.card
    assert (card.agent, card.seeds, card.trials, card.names) == ("logistic", (3,), 7, NAMES)
    assert card.settings[CONFIGURATION] == JOB.configuration
    rows = span().rows
    assert (card.data[0].first, card.data[0].last) == (rows[0].at.date(), rows[-1].at.date())
    assert model.scaling.means == pytest.approx([np.mean([row.values[name] for row in rows]) for name in NAMES])


def test_draft_is_never_written_over_another(tmp_path: Path) -> None:
    place = tmp_path / "there"
    place.mkdir()
    with pytest.raises(OperatorError, match="already"):
        train(JOB, span(), place, TrainingSummary((3,), 1))


def test_agent_that_needs_torch_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradebot.lab.learning.training.sb3_trainer.find_spec", lambda name: None)
    with pytest.raises(OperatorError, match="training ppo needs torch") as told:
        train(TrainingJob("ppo", 1, 1_000, {}, NAMES), span(), tmp_path / "never", TrainingSummary((1,), 1))
    assert told.value.hint.startswith(install("rl"))
    assert not (tmp_path / "never").exists()


def test_span_with_too_few_bars_says_what_was_absent() -> None:
    with pytest.raises(OperatorError, match=r"only 23 bars .* but 100 are needed") as few:
        span_of(plan(), "policy", NAMES)
    assert few.value.hint == "train on a longer span, or leave features out: --without NAME"
    with pytest.raises(OperatorError, match=r"only 0 bars .* perhaps missing: release_near"):
        span_of(plan(), "policy", ("release_near",))


@pytest.mark.parametrize(
    ("source", "shown", "told"),
    [("csv", (), True), ("csv", (1,), True), ("csv", (0,), False), ("generated", (), False)],
)
def test_recorded_bars_without_history_say_how_much_of_it_features_need(
    source: Source, shown: tuple[int, ...], told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = plan()
    recorded = replace(of, spec=replace(of.spec, source=source, path="mes.csv", bar_stamp="start"))
    first = datetime(START.year, START.month, START.day, 15, tzinfo=UTC)

    def asked(terms: EpisodeTerms, *_: object) -> list[dict[str, Any]]:
        assert isinstance(terms.scaling, RecordingScaling)
        terms.scaling.rows += [{} for _ in shown]
        return [{"at": first + timedelta(days=days), "symbol": "MESZ6"} for days in shown]

    monkeypatch.setattr(reading, "_play_without_trading", asked)
    with pytest.raises(OperatorError, match=f"only {len(shown)} bars") as few:
        span_of(recorded, "policy", NAMES)
    assert few.value.hint is not None
    assert ("--from, because features need about a month of bars before" in few.value.hint) is told
    assert few.value.hint.endswith("train on a longer span, or leave features out: --without NAME")


def test_feature_that_never_changes_is_named() -> None:
    with pytest.raises(OperatorError, match="never change in the training span: weekday_sine"):
        span_of(plan(5), "policy", ("rsi_14", "weekday_sine"))


def test_spans_with_a_gap_are_learned_from_each_on_its_own(tmp_path: Path) -> None:
    first = date(2026, 11, 16)
    venue = futures_venue(first, 3, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    within = tuple(SessionRange(day, day) for day in (first, first + timedelta(days=2)))
    found = span_of(plan(5, venue=venue, symbols=symbols, sessions=3), "policy", NAMES, within)
    assert found.within == within
    for days, rows in zip(within, found.parts, strict=True):
        assert days.first is not None
        opened = datetime(days.first.year, days.first.month, days.first.day - 1, 23, tzinfo=UTC)
        assert [row.at for row in rows] == [opened + timedelta(minutes=5 * place) for place in range(1, 276)]
    shown = [row.values for part in found.parts for row in part]
    assert found.scaling.means == pytest.approx([np.mean([row[name] for row in shown]) for name in NAMES])
    card = load_draft(train(JOB, found, tmp_path / "draft", TrainingSummary((3,), 1)).place).card
    assert [(one.first.day, one.last.day) for one in card.data] == [(15, 16), (17, 18)]
    # The first of both spans is the whole of another one's.
    alone = span_of(plan(5, venue=venue, symbols=symbols, sessions=3), "policy", NAMES, within[:1])
    assert alone.parts == found.parts[:1]
    assert alone.scaling != found.scaling


def made(seed: int, rows: int = 200, skill: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    shown = chance.normal(size=(rows, 3))
    return shown, shown @ np.array([skill, -0.5 * skill, 0.0]) + chance.logistic(size=rows) > 0.2


def loss(weights: np.ndarray, bias: float, shown: np.ndarray, rose: np.ndarray, c: float) -> float:
    signs = np.where(rose, 1.0, -1.0)
    return float(0.5 * (weights**2).sum() + c * np.logaddexp(0, -signs * (shown @ weights + bias)).sum())


@given(seed=st.integers(0, 10_000), c=st.floats(0.01, 100), away=st.integers(0, 10_000))
def test_nothing_near_it_has_a_smaller_loss(seed: int, c: float, away: int) -> None:
    shown, rose = made(seed)
    line = regression(shown, rose, c)
    best = loss(line.weights, line.bias, shown, rose, c)
    step = np.random.default_rng(away).normal(size=4) * 1e-3
    assert loss(line.weights + step[:3], line.bias + step[3], shown, rose, c) >= best - 1e-9


def test_planted_skill_is_found_and_a_strong_penalty_leaves_little_of_it() -> None:
    shown, rose = made(1, rows=5_000, skill=2.0)
    line = regression(shown, rose, 10.0)
    assert line.weights == pytest.approx([2.0, -1.0, 0.0], abs=0.15)
    assert line.bias == pytest.approx(-0.2, abs=0.1)
    assert np.abs(regression(shown, rose, 1e-6).weights).max() < 0.01


def test_separable_rows_have_finite_weights() -> None:
    shown = np.linspace(-1, 1, 100)[:, None]
    assert 0 < regression(shown, shown[:, 0] > 0, 0.5).weights[0] < 50


def test_bars_that_went_one_way_are_refused() -> None:
    shown, _ = made(1)
    with pytest.raises(OperatorError, match="one way"):
        regression(shown, np.ones(len(shown), dtype=bool), 0.5)


ROOT = Path(__file__).resolve().parents[4]
OTHER = ROOT / ".venv-rl" / "bin" / "python"
MISSING = "no PyTorch here: make demo-learning"
HERE = find_spec("torch") is not None
AGENTS = ("ppo", "recurrent_ppo", "sac", "td3")
torch_here = pytest.mark.skipif(not HERE, reason=MISSING)


@pytest.mark.campaign
@pytest.mark.skipif(HERE, reason="these tests run here themselves")
def test_what_needs_torch_holds_where_it_is_installed() -> None:
    if not OTHER.exists() or _run("-c", "import torch, sb3_contrib").returncode:
        pytest.skip(MISSING)
    done = _run("-m", "pytest", "-q", "--campaigns", "-p", "no:cacheprovider", str(Path(__file__)))
    assert done.returncode == 0, done.stdout[-3000:]


def _run(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([str(OTHER), *words], check=False, capture_output=True, text=True, cwd=ROOT, timeout=900)


def job(agent: str) -> TrainingJob:
    small = {"n_steps": 128} if "ppo" in agent else {"learning_starts": 100, "net_width": 32}
    return TrainingJob(agent, 3, 500, small, NAMES)


@torch_here
@pytest.mark.campaign
@pytest.mark.parametrize("agent", AGENTS)
def test_exported_network_answers_as_the_trained_one_and_is_the_same_each_time(agent: str, tmp_path: Path) -> None:
    models = [
        load_draft(train(job(agent), span(), tmp_path / name, TrainingSummary((3,), 1)).place)
        for name in ("one", "two")
    ]
    for model in models:
        member = member_of(model)
        assert not isinstance(member, Decision), member
        assert self_test(member, model) is None
    assert (models[0].graph, models[0].card.recurrent) == (models[1].graph, agent == "recurrent_ppo")


@torch_here
@pytest.mark.campaign
def test_network_whose_weights_are_no_numbers_is_no_model(tmp_path: Path) -> None:
    wild = replace(job("sac"), steps=1000, settings={**job("sac").settings, "learning_rate": 1.0})
    with pytest.raises(DivergedError, match="sac with seed 3 diverged: its weights are not numbers"):
        train(wild, span(), tmp_path / "draft", TrainingSummary((3,), 1))
    assert not (tmp_path / "draft").exists()


@torch_here
@pytest.mark.campaign
@pytest.mark.parametrize("continuous", [False, True])
def test_environment_is_one_of_gymnasium_s(continuous: bool) -> None:
    from gymnasium.utils.env_checker import check_env
    from stable_baselines3.common.env_checker import check_env as check_further

    from tradebot.lab.learning.training.sb3_trainer import gymnasium_env

    env = gymnasium_env(EpisodeTerms(plan(5), SCALING), continuous=continuous)
    try:
        check_further(env, warn=False)
        check_env(env, skip_render_check=True)
    finally:
        env.close()


@torch_here
@pytest.mark.campaign
def test_episode_by_sessions_goes_on_with_the_next_session() -> None:
    from tradebot.lab.learning.training.sb3_trainer import gymnasium_env

    venue = futures_venue(START, 2, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    env = gymnasium_env(EpisodeTerms(plan(5, venue=venue, symbols=symbols, sessions=2), SCALING), by_session=True)
    ends: list[tuple[bool, bool]] = []
    try:
        before, info = env.reset()
        days: list[object] = [info["at"].date()]
        while not (ends and ends[-1][0]):
            after, _, over, cut, info = env.step(3)
            if over or cut:
                ends.append((over, cut))
            if cut:
                begun, told = env.reset()
                assert begun.tolist() == after.tolist()
                assert told["at"] == info["at"]
                assert begun[-2] < before[-2], "the share of the session that is over begins anew"
            before = after
            days.append(info["at"].date())
    finally:
        env.close()
    assert ends == [(False, True), (True, False)]


@torch_here
@pytest.mark.campaign
def test_spans_with_gaps_are_episodes_in_turn_and_are_learned_from(tmp_path: Path) -> None:
    from tradebot.lab.learning.training.sb3_trainer import gymnasium_env

    venue = futures_venue(START, 3, ("MES",))
    of = plan(5, venue=venue, symbols=tuple(one.symbol for one in venue.instruments), sessions=3)
    days = [START, START + timedelta(days=2)]
    env = gymnasium_env(*(EpisodeTerms(of, SCALING, first=day, last=day) for day in days))
    seen: list[list[datetime]] = []
    try:
        for _ in range(3):
            _, info = env.reset()
            times, over = [info["at"]], False
            while not over:
                _, _, over, cut, info = env.step(2)
                assert not cut
                times.append(info["at"])
            seen.append(times)
    finally:
        env.close()
    assert (seen[0], [times[-1].date() for times in seen]) == (seen[2], [days[0], days[1], days[0]])
    assert all(times[-1] - times[0] < timedelta(hours=23) for times in seen)
    found = span_of(of, "policy", NAMES, [SessionRange(day, day) for day in days])
    card = load_draft(train(job("ppo"), found, tmp_path / "draft", TrainingSummary((3,), 1)).place).card
    assert [one.last for one in card.data] == days


@torch_here
@pytest.mark.campaign
def test_what_is_trained_on_arrays_is_what_the_road_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = span_of(on_arrays(), "policy", NAMES)
    here = train(job("ppo"), found, tmp_path / "arrays", TrainingSummary((3,), 1))
    monkeypatch.setattr(
        "tradebot.lab.learning.training.training.choose_episodes",
        lambda spans, *_: ChosenEpisodes(spans, event_driven_episode),
    )
    there = train(job("ppo"), found, tmp_path / "road", TrainingSummary((3,), 1))
    assert (here.on_arrays, here.why) == (True, "")
    one, other = load_draft(here.place), load_draft(there.place)
    assert (one.graph, one.probe) == (other.graph, other.probe)


def test_list_of_agents_is_whole() -> None:
    from tradebot.lab.learning.training.job import AGENTS as KNOWN
    from tradebot.lab.learning.training.sb3_trainer import _MODELS, _NETWORKS

    trained: Sequence[str] = [name for name, of in KNOWN.items() if of.steps is not None]
    assert sorted(AGENTS) == sorted(trained) == sorted(_MODELS) == sorted(_NETWORKS)
