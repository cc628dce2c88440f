"""A walk trains before it judges, keeps what is finished, and its results can be judged."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.app.learning.test_environment import plan
from tradebot.adapters.models.signing import make_key
from tradebot.adapters.state.policy_results import read_policy_results
from tradebot.app.backtest.market import open_market_in_memory
from tradebot.app.backtest.run import Plan
from tradebot.app.backtest.translating import session_of
from tradebot.app.learning.training.job import DivergedError, Job
from tradebot.app.learning.training.rows import Within
from tradebot.app.learning.walking import walk as walking
from tradebot.app.learning.walking.judging import Hold, judged
from tradebot.app.learning.walking.walk import RESULTS, UNITS, Split, Walk, splits_of, walk
from tradebot.errors import OperatorError
from tradebot.exchange.market.futures import futures_venue
from tradebot.model.values import replace

START, SESSIONS = date(2026, 11, 16), 4
NAMES = ("rsi_14", "return_3")
JOB = Job("logistic", 1, 0, {}, NAMES)


@cache
def market() -> Plan:
    venue = futures_venue(START, SESSIONS, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    return plan(5, venue=venue, symbols=symbols, sessions=SESSIONS)


def days(of: Plan) -> tuple[date, ...]:
    return tuple(session_of(one).date for one in open_market_in_memory(of.spec).calendar.market)


def walk_in(folder: Path) -> Walk:
    folder.mkdir(exist_ok=True)
    key = folder / "key"
    if not key.exists():
        make_key(key)
    dates = days(market())
    splits = Split(dates[0], dates[0], dates[2], dates[2]), Split(dates[1], dates[1], dates[3], dates[3])
    return Walk(market(), "policy", JOB, (1,), splits, dates, folder / "walk", key)


def test_holding_a_contract_earns_what_the_account_does_and_twice_the_costs_are_twice_the_costs() -> None:
    dates = days(market())
    one = judged(market(), Hold("policy"), Within(dates[1], dates[2]))
    assert one.sessions == dates[1:3]
    # It is bought once: a commission of 0.62 and a tick of a quarter of a point at 5 dollars.
    apart = [before - after for before, after in zip(one.returns, one.doubled, strict=True)]
    assert apart == pytest.approx([(0.62 + 1.25) / 100_000, 0.0], abs=1e-9)
    assert one.trades == 0
    # Sessions before the first one leave no trace: it begins with what there was.
    alone = judged(market(), Hold("policy"), Within(dates[2], dates[2]))
    assert alone.sessions == dates[2:3]
    assert alone.returns[0] - one.returns[1] == pytest.approx(0, abs=2e-3)


@pytest.mark.campaign
def test_a_walk_goes_on_where_it_was_killed_and_ends_as_if_it_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    play: Callable[..., None] = walking.play

    def killed(of: Walk, wanted: walking.Wanted, trials: int) -> None:
        made.append(wanted.file)
        if len(made) == 3:
            raise KeyboardInterrupt
        play(of, wanted, trials)

    def one_by_one(of: Walk, left: Sequence[walking.Wanted], trials: int, workers: int, said: object) -> None:
        for wanted in left:
            walking.play(of, wanted, trials)

    monkeypatch.setattr(walking, "play", killed)
    of = walk_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        walk(of, 3, 1, player=one_by_one)
    assert not (of.folder / RESULTS).exists()
    assert len(list((of.folder / UNITS).iterdir())) == 2
    results = walk(of, 3, 1, player=one_by_one)
    # The one in whose middle it was killed is played again, and no other twice.
    assert len(made) == len(set(made)) + 1
    assert results == read_policy_results(of.folder / RESULTS)
    assert (results.sessions, results.trials, results.configuration) == (of.market[2:], 3, JOB.configuration)
    assert set(results.benchmarks) == {"buy_and_hold", "rule", "logistic"}
    # The policy is the logistic baseline here, so both are the same.
    assert results.benchmarks["logistic"] == results.runs[0].returns
    assert results.runs[0].later != results.runs[0].returns
    again = walk(of, 3, 1, player=one_by_one)
    assert (again, len(made)) == (results, len(set(made)) + 1)


def test_folder_of_another_walk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = walk_in(tmp_path)
    walking._begin(of)
    walking._begin(of)
    with pytest.raises(OperatorError, match="another walk: configuration"):
        walking._begin(replace(of, job=replace(JOB, features=NAMES[:1])))
    monkeypatch.setattr(walking, "__version__", "9.9.9")
    with pytest.raises(OperatorError, match="another walk: program"):
        walking._begin(of)
    (of.folder / walking.STUDY).write_text("{")
    with pytest.raises(OperatorError, match="another walk"):
        walking._begin(of)


@pytest.mark.parametrize("content", ["", "{", "{}", "3", '{"sessions": 3}', '{"diverged": 3}'])
def test_file_that_was_damaged_is_named_and_played_again_once_it_is_gone(content: str, tmp_path: Path) -> None:
    of = walk_in(tmp_path)
    walking._begin(of)
    for place in range(len(of.splits)):
        for who in (*of.seeds, "buy_and_hold", "rule", "logistic"):
            (of.folder / UNITS / f"{place}-{who}.json").write_text(content)
    with pytest.raises(OperatorError, match=r"0-1\.json can't be read") as told:
        walk(of, 1, 1)
    assert told.value.hint.startswith("it is played again once it is gone: rm ")


def test_agent_that_diverged_is_told_without_training_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*of: object) -> str:
        raise DivergedError("sac learned weights that are no numbers")

    monkeypatch.setattr(walking, "_trained", diverging)
    of = replace(walk_in(tmp_path), benchmarks=tmp_path / "before")
    for place in range(len(of.splits)):
        for name in ("buy_and_hold", "rule", "logistic"):
            played = tmp_path / "before" / UNITS / f"{place}-{name}.json"
            played.parent.mkdir(parents=True, exist_ok=True)
            played.write_text("{}")
    for _ in range(2):
        # The second time, and for the benchmarks, nothing is played at all.
        with pytest.raises(DivergedError, match="no numbers") as told:
            walk(of, 1, 1)
        assert "a lower learning_rate" in told.value.hint
        monkeypatch.setattr(walking, "play", None)
    assert not (of.folder / RESULTS).exists()


@given(first=st.dates(date(2020, 1, 1), date(2026, 1, 1)), many=st.integers(300, 700))
def test_no_session_is_trained_on_in_or_after_those_that_judge(first: date, many: int) -> None:
    dates = [day for place in range(many) if (day := first + timedelta(days=place)).weekday() < 5]
    try:
        found = splits_of(market(), dates)
    except OperatorError:
        assert (dates[-1].year - dates[0].year) * 12 + dates[-1].month - dates[0].month <= 12
        return
    judged_days: list[date] = []
    for one in found:
        assert one.first <= one.last < one.judged_first <= one.judged_last
        between = [day for day in dates if one.last < day < one.judged_first]
        assert len(between) == 1, "the embargo"
        judged_days += [day for day in dates if one.judged_first <= day <= one.judged_last]
    assert judged_days == sorted(set(judged_days))
