"""The folder of finished backtests: names, trials, and what is in the way."""

from contextlib import suppress
from pathlib import Path

import pytest

from tradebot.app.backtest.results import Results, Trial, read_result
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.model.evidence import Variant, VariantKind


def test_a_trial_counts_once_and_its_last_run_counts(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert results.trials() == ()
    one, again = Trial("slow", "a1", "first", 10, 0.5), Trial("slow", "a1", "second", 20, None)
    results.add_trials([one, Trial("slow", "b2", "third", 10, 1.0), Trial("fast", "a1", "fourth", 10, 1.0)])
    results.add_trials([again])
    results.add_trials([again])
    assert results.trials("slow") == (again, Trial("slow", "b2", "third", 10, 1.0))
    assert len((results.folder / "trials.jsonl").read_text().splitlines()) == 4
    with (results.folder / "trials.jsonl").open("a") as file:
        file.write("torn{")
    assert len(results.trials()) == 3


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "-x", "x" * 61, "trials.jsonl", "one.checkpoint", "one.draft", "a.lock"]
)
def test_invalid_run_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="a run can't be called"):
        Results(tmp_path).place(name)


def test_a_folder_without_a_result_is_no_run_and_a_broken_one_is_said(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(OperatorError, match=r"result\.json can't be read"):
        read_result(tmp_path)


def test_variants_of_another_run_of_this_name_do_not_count(tmp_path: Path) -> None:
    results, variant = Results(tmp_path), Variant(VariantKind.COSTS, "costs x2", 3, 3, 0.0001, -0.01)
    assert results.variants("one", "a1") == ()
    results.place("one").mkdir(parents=True)
    results.add_variants("one", [variant])
    assert results.variants("one", "a1") == ()
    (results.place("one") / "result.json").write_text('{"identity": {"fingerprint": "a1"}}')
    assert results.variants("one", "a1") == (variant,)
    assert results.variants("one", "b2") == ()


def test_run_name_is_locked_while_it_is_played(tmp_path: Path) -> None:
    one, another = Results(tmp_path), Results(tmp_path)
    with suppress(KeyboardInterrupt), one.alone("first"):
        with another.alone("second"), pytest.raises(TradebotError, match="backtest, process") as raised:
            another.alone("first").__enter__()
        assert raised.value.code is ExitCode.ANOTHER_INSTANCE
        raise KeyboardInterrupt
    with another.alone("first"):
        assert [path.name for path in one.folder.iterdir()] == ["first.lock"]
    assert list(one.folder.iterdir()) == []
