"""Files of plug-ins with dates in the played span are found, whatever the dates are written like."""

from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tradebot.lab.backtest import lookahead
from tradebot.lab.backtest.lookahead import last_date, reaching


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("date,close\n2025-03-03,1\n2025-03-05,2\n2025-03-04,3\n", date(2025, 3, 5)),
        ("20250305 1.5", date(2025, 3, 5)),
        ("2025/03/05", date(2025, 3, 5)),
        ('{"at": "2025-03-05T14:30:00Z"}', date(2025, 3, 5)),
        ("0.20250305 120250305 2025-13-05 2025-02-31 12345", None),
        ("", None),
    ],
)
def test_last_date_of_a_file_is_found_in_its_text(text: str, last: date | None, tmp_path: Path) -> None:
    file = tmp_path / "days.csv"
    file.write_text(text)
    assert last_date(file) == last


def test_date_across_two_chunks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "CHUNK", 16)
    file = tmp_path / "days.csv"
    file.write_text("x" * 10 + ",2025-03-05," + "y" * 20)
    assert last_date(file) == date(2025, 3, 5)


def test_file_is_named_only_if_it_reaches_into_the_span(tmp_path: Path) -> None:
    for name, text in (("past.csv", "2025-02-28"), ("first.csv", "2025-03-03"), ("weights.bin", "0.5")):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / name) for name in ("past.csv", "first.csv", "weights.bin", "gone.csv")]
    sections = {"flow": SimpleNamespace(), "seer": SimpleNamespace(files=files), "plain": SimpleNamespace(files=None)}
    settings = SimpleNamespace(strategies=SimpleNamespace(sections=lambda: sections))
    found = list(reaching(cast("Any", settings), date(2025, 3, 3)))
    assert found == [("seer", str(tmp_path / "first.csv"), date(2025, 3, 3))]
