"""`--frame`: four files by one name, the same as CSV and as Parquet, and no other ending."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from commands.report.report_inputs import save
from tests.kit.bot.folder import typed
from tests.kit.trades import long_backtest, rotated
from tradebot.errors import OperatorError
from tradebot.lab.performance.frames import Frames, frames


def tables() -> Frames:
    return frames(long_backtest(300), rotated(1, 300).fills, ())


def test_parquet_and_csv_hold_the_same_tables(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb", reason="needs the data extra")
    names = ["equity", "trades", "fills", "decisions"]
    for kind in ("csv", "parquet"):
        written = save(tables(), tmp_path / f"it's.{kind}")
        assert [place.name for place in written] == [f"it's-{name}.{kind}" for name in names]
    for name in names:
        parquet = duckdb.read_parquet(str(tmp_path / f"it's-{name}.parquet"))
        csv = pd.read_csv(tmp_path / f"it's-{name}.csv")
        assert parquet.columns == list(csv.columns)
        rows = parquet.fetchall()
        assert len(rows) == len(csv)
        for column in csv.select_dtypes(float).dropna(axis=1):
            place = parquet.columns.index(column)
            assert [row[place] for row in rows] == pytest.approx(csv[column].tolist())
    assert dict(zip(parquet.columns, map(str, parquet.types), strict=True))["score"] == "DOUBLE"


def test_parquet_without_the_data_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(OperatorError, match="needs the data extra"):
        save(tables(), tmp_path / "run.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("report", "--frame", "run.xlsx"), "run.xlsx is neither .csv nor .parquet"),
        (("backtest", "--frame", "run"), "run is neither .csv nor .parquet"),
        (("report", "a", "b", "--frame", "run.csv"), "--frame writes the tables of one account"),
    ],
)
def test_other_endings_and_two_accounts_are_refused(
    words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = typed(capsys, *words)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {why}")
