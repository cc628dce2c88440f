"""Libraries that share no code with this project judge the indicators and the gaps that it reads from closed bars.

TA-Lib judges Wilder's smoothing and the features that it has, and smartmoneyconcepts the gaps. Like the other clients,
both are development tools: `make clients` fetches them, and without it these tests skip, saying so.
"""

import json
import math
import random
import subprocess
from array import array
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kit.signals.series import SPEC, in_ticks, series_of, ticks
from tradebot.model.series import Series
from tradebot.model.struct_tools import replace
from tradebot.signals.features import columns, feature_of, frame_of
from tradebot.signals.structures.bars import Smoothing, atr, bars_of, directional
from tradebot.signals.structures.structures import Direction, ReadingKind, structures

HERE = Path(__file__).parent / "indicators"
INTERPRETER = HERE / ".venv" / "bin" / "python"
LENGTH, BARS = 14, 600


def smooth(seed: int) -> Series:
    """Return bars whose prices have all their digits, so that nothing is a tie."""
    chance, rows, price = random.Random(seed), [], 100.0  # noqa: S311 - replayable
    for _ in range(BARS):
        close = price * math.exp(chance.gauss(0, 0.01))
        above, below = (abs(chance.gauss(0, 0.004)) for _ in "ud")
        rows.append((price, max(price, close) * (1 + above), min(price, close) * (1 - below), close))
        price = close * (1 + chance.gauss(0, 0.003))
    return with_volume(series_of(rows), chance)


def with_volume(series: Series, chance: random.Random) -> Series:
    return replace(series, volume=array("d", [float(chance.randint(10, 5_000)) for _ in series.starts]))


SERIES = [
    *(smooth(seed) for seed in range(5)),
    # In whole ticks, differences are exact in floats too, and many are ties.
    *(with_volume(series_of(in_ticks(ticks(seed, BARS), Decimal(1))), random.Random(seed)) for seed in range(5)),  # noqa: S311
]


@pytest.fixture(scope="module")
def judgments(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what the libraries find in each series."""
    if not INTERPRETER.exists():
        pytest.skip("the other libraries are not here: make clients")
    path = tmp_path_factory.mktemp("judged") / "bars.json"
    names = ("open", "high", "low", "close", "volume")
    path.write_text(json.dumps([{name: list(getattr(series, name)) for name in names} for series in SERIES]))
    command = (str(INTERPRETER), str(HERE / "judgment.py"), str(path))
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={"SMC_CREDIT": "0"})
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def test_wilder_columns_are_those_of_ta_lib(judgments: list[dict[str, Any]]) -> None:
    for series, judged in zip(SERIES, judgments, strict=True):
        found = directional(series, LENGTH, Smoothing.WILDER)._asdict() | {"atr": atr(series, LENGTH, Smoothing.WILDER)}
        for name, column in found.items():
            expected = judged[name]
            assert [value is None for value in column] == [value is None for value in expected], name
            known = [value for value in column if value is not None]
            assert known == pytest.approx([value for value in expected if value is not None], rel=1e-9), name
            assert len(known) > BARS - 2 * LENGTH


def test_features_are_those_of_ta_lib(judgments: list[dict[str, Any]]) -> None:
    for series, judged in zip(SERIES, judgments, strict=True):
        expected = judged["features"]
        frame = frame_of(replace(series, adjusted=True), ())
        found = columns(frame, expected)
        for name, column in found.items():
            first = feature_of(name).bars - 1
            assert math.isnan(column[first - 1])
            # Where nothing moved, TA-Lib has a number and we have none. Its K begins with its D.
            compared = [(ours, theirs) for ours, theirs in zip(column[first:], expected[name][first:], strict=True)]
            known = [(ours, theirs) for ours, theirs in compared if not math.isnan(ours) and theirs is not None]
            assert len(known) > len(compared) - 5, name
            assert [ours for ours, _ in known] == pytest.approx([theirs for _, theirs in known], rel=1e-6, abs=1e-6), (
                name
            )


def test_gaps_whose_middle_bar_moves_their_way_are_those_of_smartmoneyconcepts(judgments: list[dict[str, Any]]) -> None:
    count = 0
    for series, judged in zip(SERIES, judgments, strict=True):
        found = structures(series, replace(SPEC, gap_minimum=Decimal(0)))
        places = {end_s: place for place, end_s in enumerate(bars_of(series).ends_s)}
        ended = {end.reading: places[end.at] for end in found.ended}
        gaps = set()
        for gap in found.readings:
            sign = 1 if gap.direction is Direction.LONG else -1
            # The library names a gap after its middle bar, which has to rise for a long and fall for a short.
            middle = gap.bar + 1
            if gap.kind is ReadingKind.GAP and sign * (series.close[middle] - series.open[middle]) > 0:
                gaps.add((sign, middle, gap.low, gap.high, ended.get(gap, 0)))
        assert gaps == {tuple(gap) for gap in judged["gaps"]}
        count += len(gaps)
    assert count > 100
