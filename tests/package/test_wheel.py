"""The wheel, installed into an environment that has never seen this checkout."""

import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest

from papervenue import process
from tradebot.adapters.text import extras

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.campaign
OWNERS = """
import json, importlib.metadata as metadata, tradebot, commands, jobs, papervenue
owners = {}
for distribution in metadata.distributions():
    # The dependencies' folder holds the record of this checkout's own editable install; it lists no module.
    named = {line.partition("/")[0] for line in (distribution.read_text("RECORD") or "").splitlines()}
    for name in named & {"tradebot", "commands", "jobs", "papervenue"}:
        owners.setdefault(name, []).append(distribution.name)
print(json.dumps({
    "owners": owners,
    "homes": [module.__path__[0] for module in (tradebot, commands, jobs, papervenue)],
    "files": [str(file) for file in metadata.files("tradebot-cli")],
}))
"""


class Installed:
    """A fresh environment with the wheel in it, and an empty folder to run its commands from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = folder / "environment"
        self.elsewhere = folder / "elsewhere"

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one of the environment's programs, without the variables that could lead to the checkout."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return subprocess.run(
            [str(self.environment / "bin" / program), *arguments],
            cwd=self.elsewhere, env=kept, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("wheel")
    fresh = Installed(folder)
    fresh.elsewhere.mkdir()
    for project in (ROOT, ROOT / "exchange"):
        python(["-m", "build", "--sdist", "--wheel", "--no-isolation", "--outdir", str(folder), str(project)])
    python(["-m", "venv", "--without-pip", str(fresh.environment)])
    share_dependencies(fresh.environment)
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--no-compile",
        *map(str, folder.glob("*.whl")),
    ]
    done = fresh.run("python", *install)
    assert done.returncode == 0, done.stderr
    return fresh


def python(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, *arguments], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def found(installed: Installed) -> dict[str, Any]:
    """Return what the fresh environment says of its packages."""
    done = installed.run("python", "-c", OWNERS)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def share_dependencies(environment: Path) -> None:
    """Lend the fresh environment the dependencies that are installed here, so that it needs no network.

    A folder named in a .pth file is searched for modules but its own .pth files are not read, so the editable
    install of this checkout, which is such a file, stays behind.
    """
    (site_packages,) = environment.glob("lib/python*/site-packages")
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")


def test_each_package_is_in_the_wheel_and_of_one_distribution(installed: Installed, found: dict[str, Any]) -> None:
    assert found["owners"] == {
        **{name: ["tradebot-cli"] for name in ("tradebot", "commands", "jobs")},
        "papervenue": ["papervenue"],
    }
    assert all(Path(home).resolve().is_relative_to(installed.environment.resolve()) for home in found["homes"])


def test_the_shipped_configuration_is_in_the_wheel_byte_for_byte(installed: Installed) -> None:
    (site_packages,) = installed.environment.glob("lib/python*/site-packages")
    shipped, here = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.yaml")}
        for root in (site_packages / "tradebot" / "config", ROOT / "config")
    )
    assert {Path("base.yaml"), Path("profiles/rotation.yaml")} <= set(shipped)
    assert shipped == here


def test_the_ready_made_fault_scripts_are_in_the_wheel_byte_for_byte(installed: Installed) -> None:
    (site_packages,) = installed.environment.glob("lib/python*/site-packages")
    shipped, here = (root / "papervenue" / "faults" / "scripts" for root in (site_packages, ROOT / "exchange" / "src"))
    assert {p.name: p.read_bytes() for p in shipped.iterdir()} == {p.name: p.read_bytes() for p in here.iterdir()}
    assert installed.run("tradebot", "exchange", "faults", "show", "lost-reply").stdout.endswith("what: reply_lost\n")


def test_what_pages_are_made_of_is_in_the_wheel_byte_for_byte(installed: Installed) -> None:
    (site_packages,) = installed.environment.glob("lib/python*/site-packages")
    for part in ("static", "templates"):
        shipped, here = (root / "commands" / "web" / part for root in (site_packages, ROOT))
        files = {path.name: path.read_bytes() for path in shipped.iterdir()}
        assert files == {path.name: path.read_bytes() for path in here.iterdir()}
        assert files


def test_wheel_holds_only_the_three_packages(found: dict[str, Any]) -> None:
    tops = {Path(file).parts[0] for file in found["files"]} - {".."}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tradebot", "commands", "jobs"}


def test_the_license_is_in_the_wheel_and_named_by_its_metadata(installed: Installed) -> None:
    (site_packages,) = installed.environment.glob("lib/python*/site-packages")
    (described,) = site_packages.glob("tradebot_cli-*.dist-info")
    assert (described / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "\nLicense-Expression: MIT\n" in (described / "METADATA").read_text(encoding="utf-8")


def test_source_archive_holds_license_and_a_changelog_that_names_its_version(installed: Installed) -> None:
    (archive,) = installed.folder.glob("tradebot*.tar.gz")
    with tarfile.open(archive) as source:
        named = {name.partition("/")[2] for name in source.getnames()}
    assert {"LICENSE", "CHANGELOG.md", "README.md", "docs/internals/VERBS.md"} <= named
    version = archive.name.removeprefix("tradebot_cli-").removesuffix(".tar.gz")
    assert version in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_help_is_printed_from_an_empty_folder(installed: Installed) -> None:
    done = installed.run("tradebot", "--help")
    assert done.returncode == 0, done.stderr
    assert "trade-once" in done.stdout


def test_three_minutes_of_demo_run_from_an_empty_folder(installed: Installed) -> None:
    state = installed.elsewhere / "state"
    done = installed.run("tradebot", "demo", "--minutes", "3", "--state-dir", str(state), "--json")
    process.stop(state / "exchange")
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout), dict)
    assert (state / "ledger.db").exists()


def test_a_bot_is_made_checked_and_verified_from_an_empty_folder(installed: Installed) -> None:
    place = ("--state-dir", "bot")
    try:
        for line in ("init", "doctor", "config check", "upgrade --check", "upgrade"):
            done = installed.run("tradebot", *line.split(), *place)
            assert done.returncode == 0, (line, done.stdout, done.stderr)
        verified = installed.run("tradebot", "deploy", "verify", "--json", *place)
    finally:
        process.stop(installed.elsewhere / "bot" / "exchange")
    rows = {row["subject"]: row["state"] for row in json.loads(verified.stdout)["data"]["judgments"]}
    assert {rows[name] for name in ("installed", "files", "journal")} == {"OK"}


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


def install(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    """Run the installer in an empty folder, with one pin, and no index to ask for it."""
    (folder / "one.lock").write_text(f"absent==1 --hash=sha256:{'0' * 64}\n")
    unreachable = {"PYTHON": python, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    command = [str(ROOT / "deploy" / "install"), "environment", "one.lock"]
    return subprocess.run(
        command, cwd=folder, env=kept | unreachable, capture_output=True, text=True, timeout=120, check=False
    )


def interpreter(folder: Path, *, lacks: str) -> str:
    """Write an interpreter that is the real one, except that a program which names `lacks` fails."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\ncase "$*" in *{lacks}*) exit 1 ;; esac\nexec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def test_a_missing_interpreter_is_named_with_what_to_type(tmp_path: Path) -> None:
    done = install(tmp_path, "python-that-is-not-there")
    assert done.returncode == 2
    assert "'python-that-is-not-there' was not found" in done.stderr
    assert "make PYTHON=" in done.stderr


def test_an_old_interpreter_is_named_with_its_version(tmp_path: Path) -> None:
    done = install(tmp_path, interpreter(tmp_path, lacks="version_info"))
    assert done.returncode == 2
    assert "needs Python 3.11 or newer" in done.stderr
    assert sys.version.split()[0] in done.stderr


def test_an_interpreter_without_pip_points_to_the_missing_package(tmp_path: Path) -> None:
    done = install(tmp_path, interpreter(tmp_path, lacks="ensurepip"))
    assert done.returncode == 2
    assert "python3-venv" in done.stderr
    assert not (tmp_path / "environment").exists()


def test_an_install_that_fails_leaves_no_stamp(tmp_path: Path) -> None:
    environment = tmp_path / "environment"
    # The environment of the tests stands in for one that an earlier run made, which saves making one.
    (environment / "bin").mkdir(parents=True)
    (environment / "bin" / "python").symlink_to(sys.executable)
    stamps = [environment / name for name in (".core", ".dev")]
    for stamp in stamps:
        stamp.touch()
    done = install(tmp_path, sys.executable)
    assert done.returncode != 0
    assert "No matching distribution found for absent==1" in done.stderr
    assert not any(stamp.exists() for stamp in stamps)
