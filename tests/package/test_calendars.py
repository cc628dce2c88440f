"""What the processes of a run of the tests keep for each other is what each would have worked out."""

import subprocess
import sys
from pathlib import Path

from tests.calendars import KEPT, kept

SHOWN = "from tests import calendars; calendars.know_once(); from tradebot.exchange.market import hours; import sys"
SHOWN += "; print(len(hours._known('XNYS', '2030-12-31')), 'pandas' in sys.modules)"


def squared(number: int) -> int:
    return number * number


def test_what_one_process_has_worked_out_others_read(tmp_path: Path) -> None:
    assert [kept(tmp_path, squared)(number) for number in (2, 3)] == [4, 9]
    again = kept(tmp_path, squared)
    (tmp_path / "squared-3").write_bytes((tmp_path / "squared-2").read_bytes())
    assert [again(number) for number in (2, 3)] == [4, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squared-2", "squared-3"]


def test_process_of_a_run_takes_the_calendar_from_its_folder_and_any_other_works_it_out(tmp_path: Path) -> None:
    kept(tmp_path, _known)("XNYS", "2030-12-31")
    ends = []
    for environ in ({KEPT: str(tmp_path)}, {}):
        command = [sys.executable, "-c", SHOWN]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ".", **environ})
        ends.append(done.stdout.split())
    assert ends[0] == ["3", "False"]
    assert int(ends[1][0]) > 15_000
    assert ends[1][1] == "True"


def _known(name: str, last: str) -> str:
    return "abc"
