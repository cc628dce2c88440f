"""A walk trains before it judges, keeps what is finished, and its results can be judged."""

import gc
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import date, timedelta
from functools import cache, partial
from math import comb
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papervenue.market.futures import futures_venue
from tests.lab.learning.test_environment import plan
from tradebot.adapters.models.files import read_model
from tradebot.adapters.models.model_folder import RefusedModelError
from tradebot.adapters.models.signing import make_key, public_key_text, read_key
from tradebot.adapters.state.evidence import read_policy_results
from tradebot.errors import OperatorError
from tradebot.lab.backtest.engine_conversion import session_of
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.lab.learning.training.job import DivergedError, TrainingJob
from tradebot.lab.learning.training.training_rows import SessionRange
from tradebot.lab.learning.walking import walk as walking
from tradebot.lab.learning.walking.evaluation import Hold, JudgedSessions, evaluate_market
from tradebot.lab.learning.walking.splits import WalkSplit, paths_of, splits_of
from tradebot.lab.learning.walking.walk import RESULTS, UNITS, BenchmarkReturns, Walk, WalkModel, run_tasks, save_result
from tradebot.lab.selection.policies import PolicyEvaluation, PolicyFigures
from tradebot.lab.selection.splits import SplitMethod
from tradebot.model.evidence import BENCHMARKS, SessionSpan, problems
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

START, SESSIONS = date(2026, 11, 16), 4
NAMES = ("rsi_14", "return_3")
JOB = TrainingJob("logistic", 1, 0, {}, NAMES)


@cache
def market(sessions: int = SESSIONS) -> BacktestPlan:
    venue = futures_venue(START, sessions, ("MES",))
    symbols = tuple(one.symbol for one in venue.instruments)
    few = {"promotion": {"splits": {"groups": 4, "judged": 2}}}
    return plan(5, over=few, venue=venue, symbols=symbols, sessions=sessions)


def days(of: BacktestPlan) -> tuple[date, ...]:
    return tuple(session_of(one).date for one in open_market_in_memory(of.spec).calendar.market)


def replaced(of: BacktestPlan, **changes: int) -> BacktestPlan:
    """Return a plan with other settings under promotion.splits."""
    promotion = of.settings.promotion
    splits = promotion.splits.model_copy(update=changes)
    return replace(
        of, settings=of.settings.model_copy(update={"promotion": promotion.model_copy(update={"splits": splits})})
    )


def walk_in(folder: Path) -> Walk:
    folder.mkdir(exist_ok=True)
    key = folder / "key"
    if not key.exists():
        make_key(key)
    dates = days(market())
    apart = (
        (SessionSpan(dates[place], dates[place]), SessionSpan(dates[place + 2], dates[place + 2])) for place in (0, 1)
    )
    splits = tuple(WalkSplit((trained,), (shown,)) for trained, shown in apart)
    return Walk(market(), "policy", JOB, (1,), splits, dates, folder / "walk", key)


def test_holding_a_contract_earns_what_the_account_does_and_twice_the_costs_are_twice_the_costs() -> None:
    dates = days(market())
    one = evaluate_market(market(), Hold("policy"), SessionRange(dates[1], dates[2]))
    assert one.sessions == dates[1:3]
    # It is bought once: a commission of 0.62 and a tick of a quarter of a point at 5 dollars.
    apart = [before - after for before, after in zip(one.returns, one.doubled, strict=True)]
    assert apart == pytest.approx([(0.62 + 1.25) / 100_000, 0.0], abs=1e-9)
    assert one.trades == 0
    # Sessions before the first one leave no trace: it begins with what there was.
    alone = evaluate_market(market(), Hold("policy"), SessionRange(dates[2], dates[2]))
    assert alone.sessions == dates[2:3]
    assert alone.returns[0] - one.returns[1] == pytest.approx(0, abs=2e-3)


class Dropped:
    """Something in a cycle that ends another process which collects it, as a connection of DuckDB does."""

    def __init__(self) -> None:
        self.itself, self._home = self, os.getpid()

    def __del__(self) -> None:
        if os.getpid() != self._home:
            os._exit(3)


def dying(by: int) -> None:
    os.kill(os.getpid(), by)


def refusing() -> None:
    raise RefusedModelError(Reason.MODEL_CHANGED, "a model", "seen")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (gc.collect, ""),
        (partial(dying, signal.SIGKILL), "has died with exit code -9, perhaps for lack of memory"),
        (partial(dying, signal.SIGUSR1), f"has died with exit code -{signal.SIGUSR1:d}$"),
        (refusing, "^a model: seen. "),
    ],
)
def test_process_of_a_walk_collects_nothing_of_its_parent_and_how_it_ends_is_told(
    what: Callable[[], object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "run_task", lambda *_: what())
    of = walk_in(tmp_path)
    Dropped()
    with pytest.raises(OperatorError, match=said) if said else nullcontext():
        walking.play_here(of, [walking.WalkTask(0, 1)], 1, 2, lambda _: None)


@pytest.mark.campaign
def test_a_walk_goes_on_where_it_was_killed_and_ends_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    play: Callable[..., None] = walking.run_task

    def killed(of: Walk, wanted: walking.WalkTask, trials: int) -> None:
        made.append(wanted.file)
        if len(made) == 3:
            raise KeyboardInterrupt
        play(of, wanted, trials)

    def one_by_one(of: Walk, left: Sequence[walking.WalkTask], trials: int, workers: int, said: object) -> None:
        for wanted in left:
            walking.run_task(of, wanted, trials)

    monkeypatch.setattr(walking, "run_task", killed)
    of = walk_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_tasks(of, 3, 1, player=one_by_one)
    assert not (of.folder / RESULTS).exists()
    assert len(list((of.folder / UNITS).iterdir())) == 2
    results = run_tasks(of, 3, 1, player=one_by_one)
    # The one in whose middle it was killed is played again, and no other twice.
    assert len(made) == len(set(made)) + 1
    assert results == read_policy_results(of.folder / RESULTS)
    assert (results.sessions, results.trials, results.configuration) == (of.market[2:], 3, JOB.configuration)
    assert set(results.benchmarks) == {"buy_and_hold", "rule", "logistic"}
    # The policy is the logistic baseline here, so both are the same.
    assert results.benchmarks["logistic"] == results.runs[0].returns
    assert results.runs[0].later != results.runs[0].returns
    assert (run_tasks(of, 3, 1, player=one_by_one), len(made)) == (results, len(set(made)) + 1)


def test_folder_of_another_walk_or_split_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = walk_in(tmp_path)
    walking._begin(of)
    walking._begin(of)
    with pytest.raises(OperatorError, match=r"another walk, with a different .*splits"):
        walking._begin(across_groups(tmp_path))
    with pytest.raises(OperatorError, match="another walk, with a different configuration"):
        walking._begin(replace(of, job=replace(JOB, features=NAMES[:1])))
    monkeypatch.setattr(walking, "__version__", "9.9.9")
    with pytest.raises(OperatorError, match="another walk, with a different program"):
        walking._begin(of)
    (of.folder / walking.STUDY).write_text("{")
    with pytest.raises(OperatorError, match="another walk"):
        walking._begin(of)


def invent(of: Walk, wanted: walking.WalkTask) -> Path:
    file = of.folder / UNITS / wanted.file
    save_result(file, walking._result_of(of, wanted), invented(of, *wanted))
    return file


def test_result_that_was_changed_or_is_of_another_walk_does_not_count(tmp_path: Path) -> None:
    of, wanted = walk_in(tmp_path / "one"), walking.WalkTask(0, 1)
    walking._begin(of)
    file = invent(of, wanted)
    good = file.read_text()
    file.write_text(good.replace("0.01", "0.91", 1))
    with pytest.raises(OperatorError, match=r"0-1\.json was changed") as told:
        walking._read(of, wanted, WalkModel)
    assert told.value.hint == f"delete it, and its task runs again: rm {file}"
    file.write_text(good)
    with pytest.raises(OperatorError, match=r"the model of 0-1\.json, was changed after its evaluation"):
        walking._read(of, wanted, WalkModel)
    elsewhere = replace(of, plan=replace(of.plan, spec=replace(of.plan.spec, seed=9)))
    # A benchmark is the same for each configuration, in the same market.
    invent(of, rule := walking.WalkTask(0, "rule"))
    for now, who in (
        (elsewhere, rule),
        (elsewhere, wanted),
        (replace(of, job=replace(of.job, settings={"c": 0.1})), wanted),
    ):
        (of.folder / walking.STUDY).unlink()
        walking._begin(now)
        with pytest.raises(OperatorError, match="belongs to another walk"):
            walking._read(now, who, WalkModel)
    assert walking._read(now, rule, BenchmarkReturns) == invented(of, *rule)


@pytest.mark.parametrize("content", ["", "{", "{}", "3", '{"sessions": 3}', '{"diverged": 3}'])
def test_file_that_was_damaged_is_named_and_played_again_once_it_is_gone(content: str, tmp_path: Path) -> None:
    of = walk_in(tmp_path)
    walking._begin(of)
    for place in range(len(of.splits)):
        for who in (*of.seeds, "buy_and_hold", "rule", "logistic"):
            (of.folder / UNITS / f"{place}-{who}.json").write_text(content)
    with pytest.raises(OperatorError, match=r"0-1\.json can't be read") as told:
        run_tasks(of, 1, 1)
    assert told.value.hint.startswith("delete it, and its task runs again: rm ")


def test_agent_that_diverged_is_told_without_training_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(*of: object) -> str:
        raise DivergedError("sac diverged: its weights are not numbers")

    monkeypatch.setattr(walking, "_train_and_sign", diverging)
    of = replace(walk_in(tmp_path), benchmarks=tmp_path / "before")
    for place in range(len(of.splits)):
        for name in ("buy_and_hold", "rule", "logistic"):
            played = tmp_path / "before" / UNITS / f"{place}-{name}.json"
            played.parent.mkdir(parents=True, exist_ok=True)
            played.write_text("{}")
    for _ in range(2):
        # The second time, and for the benchmarks, nothing is played at all.
        with pytest.raises(DivergedError, match="not numbers") as told:
            run_tasks(of, 1, 1)
        assert "a lower learning_rate" in told.value.hint
        monkeypatch.setattr(walking, "run_task", None)
    assert not (of.folder / RESULTS).exists()


def across_groups(folder: Path) -> Walk:
    """Return a walk of eight sessions in four groups, each two of which are judged by the other two."""
    of, dates = walk_in(folder), days(market(8))
    splits = splits_of(market(8), dates, SplitMethod.CROSS_VALIDATION)
    return replace(of, plan=market(8), market=dates, splits=splits)


def invented(of: Walk, place: int, who: int | str) -> WalkModel | BenchmarkReturns:
    """Return what was done in a split, in returns that tell the split, the session and who made them."""
    made = []
    for span in of.splits[place].judged:
        shown = tuple(day for day in of.market if span.first <= day <= span.last)
        returns = tuple((-1 if who == 2 else 1) * ((place + 1) / 100 + day.day / 1e5) for day in shown)
        made.append(JudgedSessions(shown, returns, returns, place + 1))
    return WalkModel(f"{place}-{who}", "0", (*made,), (*made,)) if isinstance(who, int) else BenchmarkReturns((*made,))


def test_walk_along_paths_goes_on_and_each_path_has_each_group_as_another_model_judged_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "_require_model", lambda *_: None)
    of, made = replace(across_groups(tmp_path), seeds=(1, 2)), list[tuple[int, int | str]]()

    def one_by_one(of: Walk, left: Sequence[walking.WalkTask], trials: int, workers: int, said: object) -> None:
        for place, who in left:
            if len(made) == 9:
                made.append((-1, "stopped"))
                raise KeyboardInterrupt
            made.append((place, who))
            invent(of, walking.WalkTask(place, who))

    with pytest.raises(KeyboardInterrupt):
        run_tasks(of, 1, 1, player=one_by_one)
    results = run_tasks(of, 1, 1, player=one_by_one)
    # What isn't trained is played in the splits of one path alone; nothing is played twice.
    assert sorted(made[:9] + made[10:], key=str) == sorted(
        ((place, who) for place in range(6) for who in (1, 2, *BENCHMARKS) if place < 3 or who in (1, 2, "logistic")),
        key=str,
    )
    assert results == read_policy_results(of.folder / RESULTS)
    assert not [*problems(results)]
    assert results.sessions == of.market == results.calendar
    assert [(run.seed, run.path) for run in results.runs] == [(seed, path) for seed in (1, 2) for path in range(3)]
    # The splits judge groups 0 1, 0 2, 0 3, 1 2, 1 3 and 2 3, of two sessions each.
    paths = [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]
    days = [day.day / 1e5 for day in of.market]
    for run in results.runs:
        by = [place for place in paths[run.path] for _ in range(2)]
        told = [(place + 1) / 100 + day for place, day in zip(by, days, strict=True)]
        assert list(run.returns) == [-one if run.seed == 2 else one for one in told]
        assert run.trades == sum(paths[run.path]) + 4
    assert results.benchmarks["rule"] == results.runs[0].returns
    # Of the logistic baseline's paths, it is the one in the middle.
    assert results.benchmarks["logistic"] == results.runs[1].returns
    assert PolicyFigures(results, 1, of.plan.settings.promotion.splits).judging == PolicyEvaluation(0, 3)


@pytest.mark.campaign
def test_model_of_a_split_has_learned_from_all_of_its_spans_and_is_judged_in_each_of_its_groups(tmp_path: Path) -> None:
    of, place = across_groups(tmp_path), 3
    walking._begin(of)
    walking.run_task(of, walking.WalkTask(place, 1), 1)
    unit = walking._read(of, walking.WalkTask(place, 1), WalkModel)
    split, dates = of.splits[place], of.market
    assert split.trained == (SessionSpan(dates[0], dates[0]), SessionSpan(dates[7], dates[7]))
    assert [one.sessions for one in unit.plain] == [one.sessions for one in unit.later] == [dates[2:4], dates[4:6]]
    assert unit.plain != unit.later
    assert all(each for one in unit.plain for each in one.returns)
    card = read_model(of.folder / walking.MODELS, unit.model, public_key_text(read_key(of.key))).card
    # A session begins in the evening before.
    spans = [(one.first + timedelta(days=1), one.last) for one in card.data]
    assert spans == [(one.first, one.last) for one in split.trained]


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
        (trained,), (shown,) = one.trained, one.judged
        assert trained.first <= trained.last < shown.first <= shown.last
        between = [day for day in dates if trained.last < day < shown.first]
        assert len(between) == 1, "the embargo"
        judged_days += [day for day in dates if shown.first <= day <= shown.last]
    assert judged_days == sorted(set(judged_days))
    assert paths_of(found) == (tuple((place, 0) for place in range(len(found))),)


@given(
    length=st.integers(0, 8),
    rest=st.integers(0, 7),
    groups=st.integers(3, 8),
    judged_at_once=st.integers(1, 3),
    embargo=st.integers(1, 2),
)
def test_no_session_of_a_path_is_judged_by_a_model_that_has_seen_it_or_its_neighbors(
    length: int, rest: int, groups: int, judged_at_once: int, embargo: int
) -> None:
    rules = replaced(market(), groups=groups, judged=min(judged_at_once, groups - 1), embargo_sessions=embargo)
    many = groups * length + min(rest, groups - 1)
    dates = [date(2020, 1, 1) + timedelta(days=place) for place in range(many)]
    try:
        splits = splits_of(rules, dates, SplitMethod.CROSS_VALIDATION)
    except OperatorError:
        # Longer groups keep a session, whatever is judged beside them.
        assert length < 2 * embargo + 1
        return
    assert len(splits) == comb(groups, min(judged_at_once, groups - 1))
    ways = paths_of(splits)
    assert len(ways) == comb(groups - 1, min(judged_at_once, groups - 1) - 1)
    for way in ways:
        seen = list[date]()
        for place, part in way:
            span = splits[place].judged[part]
            of = [day for day in dates if span.first <= day <= span.last]
            seen += of
            near = timedelta(days=embargo)
            for trained in splits[place].trained:
                assert trained.last < of[0] - near or trained.first > of[-1] + near
        assert seen == dates
    assert sorted(use for way in ways for use in way) == [
        (place, part) for place, split in enumerate(splits) for part in range(len(split.judged))
    ]
