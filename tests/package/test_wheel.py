"""The wheel, installed into an environment that has never seen this checkout."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
from pathlib import Path
from typing import Any

import pytest

from papervenue import process

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


def test_each_package_is_in_the_wheel_and_owned_by_one_distribution(
    installed: Installed, found: dict[str, Any]
) -> None:
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


def test_the_source_archive_holds_license_and_changelog_and_the_changelog_names_its_version(
    installed: Installed,
) -> None:
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
