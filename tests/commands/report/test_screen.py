"""The screen of a report, where books of a few sessions don't reach."""

import pytest

from commands.report.screen import render
from commands.shared.surface import console
from tests.commands.report.made import account, report, without_exposure


def test_comparisons_stay_in_their_columns_without_an_exposure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    of = without_exposure(account(300))
    screen = console()
    with screen.capture() as captured:
        render(screen, report(of))
    head, total = (line for line in captured.get().splitlines() if line.startswith(("Returns ", "Return ")))
    compared = next(each for each in of.comparisons if each.of == "total_return")
    assert head.split()[4:7] == ["SPY", "cash", "from"]
    assert compared.benchmark.value is not None
    assert total.split()[2] == f"{100 * compared.benchmark.value:+.2f}%"
