"""docs/OFFLINE.md: each of its three examples trades on a served exchange, as printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.tests.kit.served import needed
from tests.kit.lab import Lab, served_to_others

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "OFFLINE.md").read_text(encoding="utf-8")
PRINTED = "http://127.0.0.1:8787"


pytestmark = pytest.mark.campaign(follows="docs/OFFLINE.md")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with served_to_others(tmp_path_factory.mktemp("lab"), "--symbols", "AAPL,MSFT") as lab:
        yield lab


def example(language: str, lab: Lab) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    assert found is not None
    assert PRINTED in found[1]
    return found[1].replace(PRINTED, lab.url)


def run(*command: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={"PATH": os.environ["PATH"]}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_curl_example_is_filled(lab: Lab) -> None:
    needed(shutil.which("curl"), "curl")
    order = json.loads(run("sh", "-c", example("sh", lab)))
    assert order["symbol"] == "AAPL"
    assert order["id"] in {fill["order_id"] for fill in lab.logged("fill")}


def test_the_python_example_is_filled(lab: Lab) -> None:
    status, held = run(sys.executable, "-c", example("python", lab)).split()
    assert status in ("OrderStatus.FILLED", "OrderStatus.PARTIALLY_FILLED")
    assert lab.logged("fill")[-1]["position"] == held


def test_the_javascript_example_is_filled(lab: Lab, tmp_path: Path) -> None:
    node = needed(shutil.which("node"), "node")
    story = tmp_path / "story.mjs"
    story.write_text(example("javascript", lab), encoding="utf-8")
    said = run(node, str(story))
    identity = said.split()[0]
    assert identity in {fill["order_id"] for fill in lab.logged("fill")}, said
