"""What a backtest leaves beside its books is read as it was written, and a damaged file is named."""

from datetime import date
from pathlib import Path

import pytest

from tradebot.adapters.state import state_folder
from tradebot.adapters.state.evidence import read_evidence, write_evidence
from tradebot.errors import OperatorError
from tradebot.model.evidence import NO_EVIDENCE, DatedRate, Evidence, Trials, Variant, VariantKind

KNOWN = Evidence(
    trials=Trials(12, (0.4, -0.1)),
    variants=(
        Variant(VariantKind.COSTS, "costs x2", 1257, 60, 0.5, -0.4, 0.084, 0.4),
        Variant(VariantKind.REBALANCE_DAY, "day 3", 60, 3, 0.01, 0.0),
    ),
    cash_rates=(DatedRate(date(2020, 1, 2), 0.0155), DatedRate(date(2020, 3, 16), 0.0025)),
    borrowing_spread=0.015,
)


@pytest.mark.parametrize("evidence", [KNOWN, NO_EVIDENCE])
def test_evidence_is_read_as_it_was_written(tmp_path: Path, evidence: Evidence) -> None:
    write_evidence(tmp_path, KNOWN)
    write_evidence(tmp_path, evidence)
    assert read_evidence(tmp_path) == evidence
    assert [file.name for file in tmp_path.iterdir()] == [state_folder.EVIDENCE]


def test_a_folder_without_it_has_none(tmp_path: Path) -> None:
    assert read_evidence(tmp_path) == NO_EVIDENCE


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trials": {"count": "many"}}', '{"other": 1}'])
def test_what_cannot_be_read_is_named_with_what_to_do(tmp_path: Path, text: str) -> None:
    (tmp_path / state_folder.EVIDENCE).write_text(text)
    with pytest.raises(OperatorError, match=r"evidence\.json can't be read") as raised:
        read_evidence(tmp_path)
    assert raised.value.hint == "run the backtest again, or remove the file"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"evidence\.json can't be written: No such file"):
        write_evidence(tmp_path / "gone", KNOWN)
