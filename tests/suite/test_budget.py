"""Campaigns are played for as long as there is time: the proof first, and each within its share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.suite import documents
from tests.suite.budget import Account

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def account(tmp_path: Path) -> Account:
    (tmp_path / "spent").touch()
    return Account(tmp_path / "spent")


def test_parts_begin_until_those_that_began_will_use_the_share_and_the_first_always_may(account: Account) -> None:
    assert account.begin("kills", "kills[1]", 10, 50)
    assert not account.begin("kills", "kills[2]", 10, 50), "the first is expected to use it all"
    account.end("kills", "kills[1]", 4)
    assert account.begin("kills", "kills[2]", 10, 4)
    assert account.begin("power", "power[1]", 10, 4), "each has a share of its own"
    assert account.begin("kills", "kills[3]", 10, 4)
    assert not account.begin("kills", "kills[4]", 10, 4), "4 spent, and 8 are expected of those that play"
    expected = [("kills[1]", 4), ("kills[2]", None), ("power[1]", None), ("kills[3]", None)]
    assert [(part.test, part.cost) for part in account.parts()] == expected


MADE = """
import pytest, time

@pytest.fixture(scope="module", autouse=True)
def kept():
    yield

@pytest.mark.campaign(share=0.25)
@pytest.mark.parametrize("part", range(40))
def test_of_a_rest(part):
    end = time.process_time() + 0.1
    while time.process_time() < end: pass

@pytest.mark.campaign(proof=True, share=0.25)
@pytest.mark.parametrize("part", range(40))
def test_of_a_proof(part):
    test_of_a_rest(part)

@pytest.mark.campaign(follows="README.md")
def test_that_follows_a_document():
    pass
"""

SECOND = """
import pytest

@pytest.fixture(scope="module")
def shared():
    yield

@pytest.mark.campaign
def test_of_another_file(shared):
    pass
"""
"""What a file before it keeps for a part that is left out must be gone by then."""


@pytest.mark.campaign
@pytest.mark.parametrize(("minutes", "played"), [(12, 3), (24, 5), (0.01, 0)])
def test_a_run_plays_the_share_of_its_time_and_says_how_much(tmp_path: Path, minutes: float, played: int) -> None:
    (tmp_path / "test_made.py").write_text(MADE)
    (tmp_path / "test_second.py").write_text(SECOND)
    plugins = ("-p", "tests.suite.house", "-p", "no:cacheprovider", "-o", "testpaths=.")
    words = ("-n", "1", "--campaigns", "--seed", "3", "--minutes", str(minutes), "-v", *plugins, "--rootdir", ".")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        (sys.executable, "-m", "pytest", *words),
        check=False,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    for name in ("proof", "rest"):
        parts = [line for line in done.stdout.splitlines() if "PASSED" in line and f"test_of_a_{name}" in line]
        assert len(parts) == pytest.approx(played, abs=1 if played else 0), done.stdout
    assert "ERROR" not in done.stdout
    if played:
        assert "PASSED test_second.py" in done.stdout
        assert done.stdout.index("test_of_a_proof") < done.stdout.index("test_of_a_rest")
        assert "what was played" in done.stdout


def test_each_document_that_a_campaign_follows_is_there_and_each_recorded_one_is_followed() -> None:
    texts = [path.read_text() for path in (ROOT / "tests" / "docs").glob("test_*.py")]
    for document in documents.followed():
        assert (ROOT / document).exists()
        assert any(f'follows="{document}"' in text for text in texts), document
