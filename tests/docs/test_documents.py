"""The documents are true: the guides' commands run, its demo is the real one, ARCHITECTURE's functions exist."""

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from commands.shared.listed_verbs import VERBS
from tests.docs import demo as played
from tests.kit.bot.folder import typed
from tests.kit.bot.forked import start
from tradebot.app import sandbox
from tradebot.app.settings import load

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("tradebot", "commands", "jobs", "exchange", "tests", "benchmarks", "config")
README = (ROOT / "README.md").read_text(encoding="utf-8")
TOUR = (ROOT / "docs" / "TOUR.md").read_text(encoding="utf-8")
AGENTS = (ROOT / "docs" / "AGENTS.md").read_text(encoding="utf-8")
MIGRATING = (ROOT / "docs" / "MIGRATING.md").read_text(encoding="utf-8")
OFFLINE = (ROOT / "docs" / "OFFLINE.md").read_text(encoding="utf-8")
MODES = (ROOT / "docs" / "MODES.md").read_text(encoding="utf-8")
BARS = """ts,symbol,open,high,low,close,volume
2026-11-16T14:30:00Z,AAPL,100,101,99,100.5,1000
2026-11-16T14:31:00Z,AAPL,100.5,101,100,100.8,1200
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Play a quarter of an hour of the demo, for the commands that are typed after it."""
    folder = tmp_path_factory.mktemp("readme")
    played.play(folder, "--minutes", "15")
    (folder / "bars.csv").write_text(BARS)
    yield folder
    for exchange in folder.glob("state/**/exchange"):
        sandbox.stop(exchange)


def test_a_screen_written_into_the_readme_is_the_one_it_shows() -> None:
    assert played.page(played.shown()) == README
    assert "\n  .venv/bin/tradebot status\n```\n<!-- /demo -->" in played.page("\nother\n  tradebot status\n\n")


@pytest.fixture
def there(demo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in the folder where the demo was played, and return it."""
    monkeypatch.chdir(demo)
    monkeypatch.setenv("COLUMNS", "100")
    return demo


@pytest.mark.campaign
def test_the_commands_of_the_guides_run(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ (tradebot [^#\n]+)", README + TOUR + OFFLINE, flags=re.MULTILINE)
    assert len(commands) >= 12
    with ExitStack() as terminals:
        for command in commands:
            arguments = shlex.split(command)[1:]
            if arguments[0] == "demo":
                arguments += ["--minutes", "2"]
            if arguments[:2] == ["exchange", "serve"]:
                terminals.enter_context(another_terminal(arguments))
                continue
            said = typed(capsys, *arguments)
            assert said.code in {0, 10}, f"{command}\n{said.out}{said.err}"
            assert said.out.strip(), command


@contextmanager
def another_terminal(arguments: list[str]) -> Iterator[None]:
    """Run what a guide wants in a second terminal, on a free port."""
    port = arguments.index("--port") + 1
    with start([*arguments[:port], "0", *arguments[port + 1 :]]) as served:
        assert served.stdout is not None
        assert "answers at http://127.0.0.1:" in served.stdout.readline()
        yield
        served.terminate()


@pytest.mark.campaign
def test_the_loop_for_programs_runs_and_prints_documents(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ (tradebot [^#\n]+)", AGENTS, flags=re.MULTILINE)
    assert len(commands) >= 6
    for command in commands:
        said = typed(capsys, *shlex.split(command)[1:])
        document = json.loads(said.out)
        assert document["exit_code"] == said.code, command
        assert (document["mode"], len(document["account"])) == ("sandbox", 4), command


def test_every_verb_that_a_guide_names_exists() -> None:
    known = VERBS.keys() | {verb.split()[0] for verb in VERBS}
    for guide in (README, TOUR, MODES, MIGRATING, AGENTS):
        named = re.findall(r"[`$|*] ?tradebot ((?:[a-z][a-z-]+)(?: (?:show|check|serve|tick|new|list))?)", guide)
        assert named
        for verb in named:
            assert verb in known or verb.split()[0] in known, verb


def test_every_setting_that_the_migration_guide_names_exists() -> None:
    settings = load(None, {}).settings.model_dump()
    named = re.findall(r"`((?:limits|exits|strategies)\.[\w.]+)`", MIGRATING)
    assert len(named) >= 8
    for name in named:
        found: object = settings
        for part in name.split("."):
            assert isinstance(found, dict), name
            assert part in found, name
            found = found[part]


def test_every_function_that_the_architecture_names_exists() -> None:
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `((?:commands|jobs|tradebot)\.[\w.]+)` \|", text)
    assert len(named) >= 20
    for name in named:
        module, attributes = name, list[str]()
        while not _is_module(module):
            module, _, attribute = module.rpartition(".")
            attributes.insert(0, attribute)
        found: object = importlib.import_module(module)
        for attribute in attributes:
            found = getattr(found, attribute)
        assert callable(found), name


def test_every_python_file_that_a_document_names_exists() -> None:
    """A guide's own package stands in a folder beside the checkout, or is written by the guide."""
    files = [f"/{path.relative_to(ROOT)}" for folder in SOURCES for path in (ROOT / folder).rglob("*.py")]
    documents = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "internals").glob("*.md"), ROOT / "CONTRIBUTING.md"]
    named = [
        (path.name, name)
        for path in documents
        for name in re.findall(r"`([\w./-]+\.py)\b", path.read_text(encoding="utf-8"))
    ]
    assert len(named) >= 50
    assert [(where, name) for where, name in named if not any(file.endswith(f"/{name}") for file in files)] == []


def _is_module(name: str) -> bool:
    return (ROOT / f"{name.replace('.', '/')}.py").exists()
