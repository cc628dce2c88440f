"""Processes that share out the tests: every result arrives, also that of a test that takes its process with it."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = {
    "test_good.py": """
import os, pytest
@pytest.fixture(scope="module")
def own():
    print("kept to itself")
    yield os.getpid()
def test_module_fixture_is_shared_by_a_file(own): assert own == os.getpid()
def test_skipped(): pytest.skip("no reason")
""",
    "test_bad.py": """
import pytest
@pytest.fixture(scope="module")
def torn():
    yield
    raise ValueError("left untidy")
def test_wrong(torn):
    print("what it printed")
    assert 1 == 2
def test_right(torn): pass
""",
    "test_fatal.py": """
import os
def test_before(): pass
def test_fatal(): os._exit(3)
def test_after(): pass
""",
    "test_more.py": "def test_more(tmp_path): (tmp_path / 'file').touch()",
}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("crew")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "--rootdir", str(folder), "-p", "tests.crew"]
    command += ["-rfs", "--crew", "2", f"--basetemp={folder / 'kept'}", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_each_result_is_counted_and_a_crash_is_one_failure(output: str) -> None:
    assert "2 failed, 4 passed, 1 skipped, 1 error in" in output


def test_failure_shows_what_was_compared_and_printed_and_what_passes_shows_nothing(output: str) -> None:
    assert "assert 1 == 2" in output
    assert "what it printed" in output
    assert "ValueError: left untidy" in output
    assert "kept to itself" not in output


def test_crash_names_the_test_and_what_did_not_run(output: str) -> None:
    assert "test_fatal.py::test_fatal" in output
    assert "ended with 3; the rest of this file did not run" in output
