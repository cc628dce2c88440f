"""Networks that PyTorch trains are exported as they answer there. They are trained only where it is installed.

`make campaigns` runs this in .venv-rl, which `make demo-learning` makes; without that, it says what is missing.
"""

import subprocess
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from papervenue.market.futures import futures_venue
from tests.lab.learning.arrays.drawing import plan as on_arrays
from tests.lab.learning.test_environment import SCALING, START, plan
from tradebot.adapters.models.files import load_draft
from tradebot.adapters.models.model_worker import member_of, self_test
from tradebot.lab.learning.arrays.engine_choice import ChosenEpisodes
from tradebot.lab.learning.environment import EpisodeTerms, event_driven_episode
from tradebot.lab.learning.training.job import DivergedError, TrainingJob
from tradebot.lab.learning.training.training import TrainingSpan, TrainingSummary, span_of, train
from tradebot.lab.learning.training.training_rows import SessionRange
from tradebot.model.decision import Decision
from tradebot.model.struct_tools import replace

ROOT = Path(__file__).resolve().parents[4]
NAMES = ("rsi_14", "return_3")
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


@cache
def span() -> TrainingSpan:
    return span_of(plan(5), "policy", NAMES)


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
