"""The identity of a run: all that its result depends on, and nothing else."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from shutil import copy

import pytest

from papervenue.market.spec import MarketSpec
from tests.adapters.plugins.test_plugin import HEAD, install
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import load
from tradebot.errors import OperatorError
from tradebot.lab.backtest.identity import identity_of
from tradebot.lab.backtest.run import BacktestPlan
from tradebot.model.struct_tools import replace

SETTINGS = load(None, {}).settings
SPEC = MarketSpec(symbols=("AAPL",), start=date(2025, 3, 3))
PLAN = BacktestPlan(SETTINGS, SPEC)


def test_fingerprint_changes_with_anything_that_changes_the_result_and_a_trial_is_the_same_on_any_data() -> None:
    other = replace(PLAN, settings=load(None, {}, {"limits": {"cooldown_s": 61}}).settings)
    plans = (
        PLAN,
        other,
        replace(PLAN, spec=replace(SPEC, seed=8)),
        replace(PLAN, spec=replace(SPEC, cash=Decimal(5))),
        replace(PLAN, level=RecordLevel.NONE),
        replace(PLAN, equity_at="last_fill"),
        replace(PLAN, margin="free"),
    )
    assert len({identity_of(plan).fingerprint for plan in plans}) == len(plans)
    assert identity_of(replace(PLAN, every_pass=True)) == identity_of(PLAN)
    elsewhere = load(None, {}, {"sandbox": {"seed": 99}}).settings
    assert identity_of(replace(PLAN, settings=elsewhere, spec=replace(SPEC, seed=99))).trial == identity_of(PLAN).trial
    assert identity_of(other).trial != identity_of(PLAN).trial


def test_identity_depends_on_the_content_of_files_not_on_their_place(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    file = tmp_path / "bars.csv"
    file.write_text("one")
    moved = copy(file, tmp_path / "other" / "bars.csv")
    found = [
        identity_of(replace(PLAN, spec=replace(SPEC, source="csv", bar_stamp="start", path=str(path))))
        for path in (file, moved)
    ]
    assert (found[0].fingerprint, [one.name for one in found[0].data]) == (found[1].fingerprint, ["bars.csv"])
    file.write_text("two")
    again = identity_of(replace(PLAN, spec=replace(SPEC, source="csv", bar_stamp="start", path=str(file))))
    assert again.fingerprint != found[0].fingerprint


def test_identity_depends_on_each_file_of_a_folder(tmp_path: Path) -> None:
    for name in ("ESZ6.csv", "ESH7.csv"):
        (tmp_path / name).write_text(name)
    plan = replace(PLAN, spec=replace(SPEC, source="csv", bar_stamp="start", path=str(tmp_path)))
    found = identity_of(plan)
    assert [one.name for one in found.data] == ["ESH7.csv", "ESZ6.csv"]
    (tmp_path / "ESH7.csv").write_text("changed")
    assert identity_of(plan).fingerprint != found.fingerprint


def test_changed_strategy_file_or_retrained_model_is_another_trial_but_a_moved_model_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "mine", "odd = odd_plugin:Odd")
    file = tmp_path / "odd_plugin.py"
    file.write_text(f"{HEAD}        return [Open('AAPL', Side.BUY, 0.5)]\n")
    (tmp_path / "moved").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    plans = list[BacktestPlan]()
    for folder in (tmp_path, tmp_path / "moved"):
        model = folder / "model.bin"
        model.write_text("weights")
        own = {"flow": None, "odd": {"files": [str(model)]}}
        plans.append(replace(PLAN, settings=load(None, {}, {"strategies": own}).settings))
    here, before = map(identity_of, plans)
    assert (here.fingerprint, here.trial) == (before.fingerprint, before.trial)
    file.write_text(file.read_text().replace("0.5", "-0.5"))
    after = identity_of(plans[1])
    assert before.versions == after.versions
    assert before.fingerprint != after.fingerprint
    assert before.trial != after.trial
    assert before.code["odd"].files.keys() == {"odd_plugin.py", "1 model.bin"}
    model.write_text("other weights")
    assert identity_of(plans[1]).trial != after.trial
    model.unlink()
    with pytest.raises(OperatorError, match=r"model\.bin, a file of the strategy odd, can't be read: No such file"):
        identity_of(plans[1])
