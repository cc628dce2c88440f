"""The time of a record: the exchange's in the sandbox, if its log can be read, and otherwise this machine's."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradebot.adapters.time.machine_clock import stamp_time

AT = "2026-11-16T14:30:00Z"
LINE = f'{{"seq":1,"at":"{AT}","event":"ticked"}}'


@pytest.mark.parametrize(
    ("mode", "log", "trading"),
    [
        ("sandbox", f"{LINE}\n", True),
        ("sandbox", f"{LINE}\n{{torn", True),
        ("sandbox", "x" * 300_000 + f"\n{LINE}\n", True),
        ("sandbox", "", False),
        ("sandbox", "[1]\n", False),
        ("sandbox", '{"at": 7}\n', False),
        ("sandbox", '{"at": "2026-11-16T14:30:00"}\n', False),
        ("paper", f"{LINE}\n", False),
        (None, f"{LINE}\n", False),
    ],
)
def test_stamp_is_trading_time_where_the_sandbox_says_so(
    tmp_path: Path, mode: str | None, log: str, trading: bool
) -> None:
    (tmp_path / "exchange").mkdir()
    (tmp_path / "exchange" / "log.jsonl").write_text(log)
    before = datetime.now(UTC)
    stamp = stamp_time(tmp_path, mode)
    assert stamp == datetime.fromisoformat(AT) if trading else before <= stamp <= datetime.now(UTC)


def test_stamp_of_a_folder_without_an_exchange_is_this_machines_time(tmp_path: Path) -> None:
    assert datetime.now(UTC) <= stamp_time(tmp_path, "sandbox") <= datetime.now(UTC)
