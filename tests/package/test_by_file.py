"""Workers that read only their own files run the same tests, and report the same, as those that read all."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite.tiers import in_turn

FILES = {
    "one/test_good.py": "import pytest\n\n@pytest.fixture(scope='module')\ndef made():\n    yield 1\n\n"
    "@pytest.mark.parametrize('number', [1, 2])\ndef test_good(made, number):\n    assert made\n",
    "one/test_long.py": "import pytest\n\n@pytest.mark.campaign\ndef test_long():\n    assert False\n",
    "two/test_bad.py": "def test_bad():\n    assert False, 'seen'\n\ndef test_after_it():\n    pass\n",
    "two/test_broken.py": "import no_such_module\n",
    "two/test_last.py": "import pytest\n\n@pytest.mark.parametrize('number', range(90))\n"
    "def test_last(number):\n    pass\n",
}


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("words", "said"),
    in_turn([((), {"1 failed", "93 passed", "1 error"}), (("-k", "good or last"), {"92 passed", "1 error"})], 1),
)
def test_files_read_late_report_each_test_failure_and_file_that_cannot_be_read(
    words: tuple[str, ...], said: set[str], tmp_path: Path
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    plugins = (
        "-p",
        "tests.suite.house",
        "-p",
        "no:cacheprovider",
        "-o",
        "testpaths=one two",
        "--import-mode=importlib",
    )
    command = (sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadfile", *plugins, "--rootdir", ".", *words)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert said <= set(re.findall(r"\d+ (?:passed|failed|error)", done.stdout.splitlines()[-1]))
    assert ("1 failed" in said) is ("AssertionError: seen" in done.stdout)
    assert "no_such_module" in done.stdout
    shares = [int(share) for share in re.findall(r"\[ *(\d+)%\]", done.stdout)]
    assert shares == sorted(shares)
    assert 0 < shares[0] <= shares[-1] <= 100
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
