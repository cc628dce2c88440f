"""One bot a module, and how a test talks to it."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import EntryPoints, PackageMetadata, PathDistribution, entry_points
from pathlib import Path
from typing import Any

import pytest

from exchange.tests.kit import nursery as nursery_of_all
from exchange.tests.kit.nursery import Nursery, starting_with, without_nursery
from exchange.tests.kit.threads import served_by_threads
from papervenue import process
from tests.kit.bot.folder import Bot, discard, made, second_session
from tests.kit.fakes.machine import Timer
from tests.kit.fakes.receivers import HOOK, Receiver, receiving
from tests.kit.fakes.scripted import Wire, serving
from tests.suite import tiers
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.plugins import plugin
from tradebot.adapters.state import halt_switch, resources, safe_open, state_locks
from tradebot.app.settings import Settings

MOST_OF_A_BOT, MOST_OF_TESTS = 300_000_000, 10_000_000_000


@pytest.fixture(scope="session", autouse=True)
def wide() -> Iterator[None]:
    """Let no line be broken, so that the length of a temporary folder's name decides nothing."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("COLUMNS", "500")
        yield


@pytest.fixture(scope="session", autouse=True)
def light() -> Iterator[None]:
    """Let a process of the tests, which plays many bots, seem to take no more memory than one bot does."""
    from commands.serve import watchdog_thread

    class Resources:
        def __getattr__(self, name: str) -> Any:
            return getattr(resources, name)

        def memory_bytes(self) -> int | None:
            found = resources.memory_bytes()
            return MOST_OF_A_BOT if found is not None and MOST_OF_A_BOT < found < MOST_OF_TESTS else found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(watchdog_thread, "resources", Resources())
        yield


@pytest.fixture(scope="session", autouse=True)
def installed_once() -> Iterator[None]:
    """Read what is installed again only if a folder of packages has changed: each verb looks for strategies."""

    @cache
    def found(group: str, places: tuple[tuple[str, int], ...]) -> EntryPoints:
        return entry_points(group=group)

    def asked(group: str) -> EntryPoints:
        return found(group, _packages())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(plugin, "entry_points", asked)
        yield


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """Parse what an installed package says of itself once, while its file is the same: each has its whole README."""
    parse = PathDistribution.metadata.fget  # type: ignore[attr-defined]
    parsed: dict[tuple[str, int, int], PackageMetadata] = {}

    def metadata(of: PathDistribution) -> PackageMetadata:
        try:
            file = os.stat(f"{of._path}/METADATA")
        except OSError:
            return parse(of)  # type: ignore[no-any-return]
        key = str(of._path), file.st_mtime_ns, file.st_size
        if key not in parsed:
            parsed[key] = parse(of)
        return parsed[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PathDistribution, "metadata", property(metadata))
        yield


def _packages() -> tuple[tuple[str, int], ...]:
    return tuple((place, os.stat(place).st_mtime_ns) for place in sys.path if os.path.isdir(place))


@pytest.fixture(scope="session", autouse=True)
def checked_once() -> Iterator[None]:
    """Check the same settings once, where the same packages are installed: each verb makes them of the same files."""
    check, made = Settings.model_validate, dict[tuple[object, ...], Settings]()

    def checked(values: object, *, context: object = None) -> Settings:
        key = repr(values), id(context), _packages()
        if key not in made:
            made[key] = check(values, context=context)
        return made[key]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Settings, "model_validate", checked)
        yield


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Fork this process's exchanges from a nursery: most tests need an exchange and don't test how it starts."""
    with closing(Nursery(nursery_of_all.shared)) as made, starting_with(made.start):
        yield


@pytest.fixture(scope="module", autouse=True)
def by_threads(request: pytest.FixtureRequest, nursery: None) -> Iterator[None]:
    """Serve the exchanges of a module's bots by threads of this process, unless it says `EXCHANGES_ARE_PROCESSES`."""
    if tiers.in_campaigns() or getattr(request.module, "EXCHANGES_ARE_PROCESSES", False):
        yield
        return
    with served_by_threads(process._start):
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a new folder, in which the test's verbs are typed."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def new_interpreters() -> Iterator[None]:
    """Start exchanges as the product does, for tests of how an exchange starts."""
    with without_nursery():
        yield


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> Timer:
    """Let who waits in this process for a lock wait in a time of its own, which passes at once."""
    timer = Timer()
    for module in (safe_open, state_locks):
        monkeypatch.setattr(module, "time", timer)
    return timer


@pytest.fixture
def wire() -> Iterator[Wire]:
    """Yield a scripted server, for what speaks HTTP."""
    with serving() as wire:
        yield wire


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """Yield what takes the notices of a channel that is called `phone`."""
    with receiving() as found:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{found.address}/{HOOK}")
        yield found


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a new sandbox bot, shared by the tests of a module in their order.

    The module's `BOT_FLAGS` and `BOT_SETTINGS` say what it is made with, and `prepare_bot` what happens to it first.
    """
    of = vars(request.module)
    flags, settings = of.get("BOT_FLAGS", ()), of.get("BOT_SETTINGS", "")
    with made(tmp_path_factory.mktemp("cli") / "state", *flags, settings=settings) as path:
        of.get("prepare_bot", bool)(path)
        yield path


@pytest.fixture
def bot(folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return the module's bot."""
    return Bot(folder, capsys)


@pytest.fixture
def copy(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a copy of the module's bot, ACTIVE and without an exchange, to do damage to."""
    return Bot(copied_books(folder, tmp_path / "state"), capsys)


@pytest.fixture(scope="module")
def booked_folder(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a bot with the books that the module's `booked` writes, for tests that only read."""
    place = copied_books(folder, tmp_path_factory.mktemp("booked") / "state")
    request.module.booked(place)
    return place


@pytest.fixture
def reader(booked_folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a bot with the module's books that tests only read."""
    return Bot(booked_folder, capsys)


@pytest.fixture
def traded(request: pytest.FixtureRequest, copy: Bot) -> Bot:
    """Return a bot of one test alone with the books that the module's `booked` writes."""
    request.module.booked(copy.folder)
    return copy


def copied_books(folder: Path, place: Path) -> Path:
    """Copy a bot without its exchange, and return the copy's folder, which is ACTIVE."""
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("exchange", "HALT"))
    now = datetime.now(UTC)
    with closing(SqliteLedger.open(place)) as ledger:
        if ledger.halts():
            ledger.history.record("ACTIVE", "test", "a copy", now)
    halt_switch.arm(place, "test", now)
    return place


@pytest.fixture
def new_bot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a bot of one test alone."""
    with made(tmp_path / "state") as path:
        yield Bot(path, capsys)


@pytest.fixture(scope="session")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot that tests copy."""
    with made(tmp_path_factory.mktemp("cli") / "state") as folder:
        yield folder


@pytest.fixture
def trader(ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Bot]:
    """Yield a copy of one bot, half an hour into its second session and about to trade."""
    with copied(ready, tmp_path / "state", capsys, second_session) as bot:
        yield bot


@pytest.fixture(scope="module")
def _own_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("cli") / "state"
    yield place
    discard(place)


@pytest.fixture
def shared_trader(ready: Path, _own_place: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return another copy of that bot, shared by a module's tests in their order."""
    if not _own_place.exists():
        with copied(ready, _own_place, capsys, second_session):
            pass
    return Bot(_own_place, capsys)


@contextmanager
def copied(
    source: Path, place: Path, capture: pytest.CaptureFixture[str], bring: Callable[[Bot], None]
) -> Iterator[Bot]:
    """Yield a copy of a bot; before the first copy, `bring` brings the bot to where all copies begin."""
    brought = source / f"{bring.__name__}.done"
    if not brought.exists():
        bring(Bot(source, capture))
        process.stop(source / "exchange")
        brought.touch()
    shutil.copytree(source, place)
    try:
        yield Bot(place, capture)
    finally:
        discard(place)
