"""What an extra needs is never asked for by this project's name, which is somebody else's on the public index."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tradebot.adapters.text import extras

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FOLDERS = ("tradebot", "commands", "jobs", "config", "docs", "benchmarks", "deploy", "exchange")
NAMED = re.compile(r"extras\s+(?:# )?NAME=([a-z0-9]+(?:,[a-z0-9]+)*)")
BARE = re.compile(r"pip\s+install\s[^`\n]*\btradebot\[|\btradebot\[[a-z0-9,]+\]")


def texts() -> dict[Path, str]:
    files = [
        path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".yaml"}
    ]
    return {path: path.read_text() for path in [*files, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "deploy/extras"]}


def test_no_text_installs_an_extra_by_name_and_each_that_is_named_exists() -> None:
    found = texts()
    assert [path for path, text in found.items() if BARE.search(text)] == []
    named = set(",".join(name for text in found.values() for name in NAMED.findall(text)).split(","))
    assert named <= EXTRAS.keys()
    assert {"top", "search", "policy"} <= named


@pytest.mark.parametrize("name", EXTRAS)
def test_next_step_is_make_in_a_checkout_and_exact_elsewhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(ROOT / ".venv"))
    assert extras.install(name) == f"make extras NAME={name}"
    monkeypatch.setattr(sys, "prefix", "/opt/tradebot/.venv")
    command = extras.install(name)
    assert command.startswith(f"{sys.executable} -m pip install ")
    assert all(re.split(r"[\[>]", need)[0].replace("_", "-") in command.replace("_", "-") for need in EXTRAS[name])
    assert "tradebot[" not in command


def test_an_extra_that_does_not_exist_is_refused_before_anything_is_installed() -> None:
    done = subprocess.run(
        (str(ROOT / "deploy" / "extras"), "nowhere", "top serch"), cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("extras: there is no extra serch; there are: data ibkr mcp ")


def test_make_installs_an_extra_from_this_folder() -> None:
    typed = ("make", "-n", "-o", ".venv/.core", "extras", "NAME=top")
    done = subprocess.run(typed, cwd=ROOT, capture_output=True, text=True, check=True)
    # A make above this one names its folder too.
    told = [line for line in done.stdout.splitlines() if not line.startswith("make[")]
    assert told == ['deploy/extras .venv "top"']
    assert '--editable ".[$names]"' in (ROOT / "deploy" / "extras").read_text()
