"""What holds for every test: loopback only, no settings from outside, and no skip that is not on the list."""

import atexit
import fnmatch
import gc
import importlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import xdist
from hypothesis.internal.conjecture import providers
from xdist.scheduler import LoadScopeScheduling

from commands.shared import hints, number_format, times
from tests.suite import calendars, tiers
from tradebot.adapters.text import redaction

pytest_plugins = [
    "tests.suite.costs",
    "tests.suite.by_file",
    "tests.suite.workers",
    "tests.suite.budget",
    "tests.kit.bot.fixtures",
]
# What is imported and collected stays. Searching it for garbage so often would take a fifth of the suite's time.
gc.set_threshold(50_000, 20, 100)
LONG_LIVED = 50_000, 10, 10
"""The same for campaigns, whose processes live long: they would grow beyond what a bot may have."""

LONG = (
    "tests/faults/test_schedules.py",
    # The tests of a file stay with one process, and one of these plays a day of 1,440 minutes three times.
    "tests/scenarios/test_kraken_verbs.py",
    "tests/faults/",
    "tests/commands/notify/test_notify_week.py",
    "tests/signals/structures/test_structures_causality.py",
    "tests/year/",
    "tests/docs/",
    "tests/scenarios/",
    "tests/commands/",
    "tests/package/",
    "tests/clients/",
    "tests/deploy/",
)
"""Where the tests stand that take long."""
TOGETHER = ("tests/scenarios/test_verbs_at_another_venue.py", "tests/package/test_wheel.py")
"""Files whose tests share what takes longer to make than they do."""
ROOT = Path(__file__).resolve().parents[2]
ALLOWED_SKIPS = ROOT / "tests" / "allowed_skips.txt"
TESTS = ROOT / "exchange" / "tests", ROOT / "tests"
DONT_WRITE_BYTECODE = sys.dont_write_bytecode
NAMES_CAMPAIGNS = re.compile(rb"campaign|sampled|hypothesis|given|StateMachine|schemathesis")
PLACES = ("/dev/shm", "/tmp", "/var/tmp")  # noqa: S108 -- its own folder is made there
"""Where the tests' folders can be: memory first, because every write of the books is synced."""
ROOM = 2 << 30
"""Bytes that must be free; a run takes a fifth of it."""
OUTSIDE_SETTINGS = (
    "ALPACA_*",
    "APCA_*",
    "UW_*",
    "TRADEBOT_*",
    "TRADING_MODE",
    "MODE",
    "ALLOW_ORDERS",
    "ENABLE_ORDER_EXEC",
    "DRY_RUN",
    "LIVE_TRADING_ACK",
    "*_PROXY",
    "FORCE_COLOR",
    "NO_COLOR",
    "COLUMNS",
    "LINES",
)


def forget_outside_settings(environment: MutableMapping[str, str]) -> None:
    """Remove credentials, modes and proxies, so that no test can reach a real account or depend on one."""
    for name in list(environment):
        if any(fnmatch.fnmatchcase(name.upper(), pattern) for pattern in OUTSIDE_SETTINGS):
            del environment[name]


def unlisted_skips(reasons: Iterable[str], allowed: Iterable[str]) -> list[str]:
    """Return the reasons that match no line of the list (shell patterns; `#` begins a comment line)."""
    patterns = [line.strip() for line in allowed if line.strip() and not line.startswith("#")]
    return sorted({r for r in reasons if not any(fnmatch.fnmatchcase(r, pattern) for pattern in patterns)})


def skip_reasons(config: pytest.Config) -> list[str]:
    """Return the reason of every skipped test, as the terminal reporter has collected them."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    return [str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped]


@pytest.fixture(scope="module", autouse=True)
def nobody_opened() -> None:
    """Forget whose bot the tests of another module opened, and its keys: by it, times and quantities are shown."""
    redaction._forms.clear()
    times._Reader.in_utc, times._Reader.day = False, None
    number_format.show_traded("share", {})


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Forget which state folder the last command line of another test acted on: messages would name it."""
    hints.set_hint_folder(())


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call() -> None:
    """Forget which state folder what the test needs was made in."""
    hints.set_hint_folder(())


def rank(place: str) -> int:
    """Return how early a test is begun, by where it stands: 0 is first."""
    return next((number for number, room in enumerate(LONG) if place.startswith(room)), len(LONG))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the long campaigns."""
    parser.addoption("--campaigns", action="store_true", help="run the long campaigns instead of their samples")
    parser.addoption("--seed", type=int, metavar="N", help="draw the campaigns from this seed, to play them again")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Choose the tier, and the seed of the campaigns, before the property tests are told of either."""
    config.addinivalue_line(
        "markers",
        "campaign(share, proof): runs in `make campaigns` only, for so many CPU-seconds; the proof comes first",
    )
    config.addinivalue_line("markers", "sampled: a sample in `make test`, more of it in `make campaigns`")
    option = config.option
    if option.campaigns:
        if option.seed is None:
            # Workers see the words of the command line alone; those who draw for themselves would play other campaigns.
            chosen = getattr(config, "workerinput", {}).get("seed")
            option.seed = random.SystemRandom().randint(0, tiers.LARGEST_SEED) if chosen is None else chosen
        option.hypothesis_profile, option.hypothesis_seed = "campaigns", str(option.seed)
    tiers.begin(option.seed if option.campaigns else None)
    if option.campaigns:
        gc.set_threshold(*LONG_LIVED)
    if option.hypothesis_profile == "suite":
        # Examples would depend on every constant in the code, and each worker would read all files for them.
        providers._get_local_constants = lambda: providers._local_constants


def pytest_configure_node(node: Any) -> None:
    """Give a worker the seed of the campaigns."""
    node.workerinput["seed"] = node.config.option.seed


def replay(config: pytest.Config) -> str:
    """Return which campaigns these are and how to play them again; nothing for samples."""
    seed = config.option.seed
    return f'campaigns of seed {seed}; again: make campaigns ARGS="--seed {seed}"' if config.option.campaigns else ""


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Print the seed before the first campaign, in case the last one never ends."""
    return [replay(config)] if config.option.campaigns else []


@cache
def may_hold_campaigns(path: Path) -> bool:
    """Return whether a file names a mark by which a test belongs to the campaigns, or what makes a property test."""
    return NAMES_CAMPAIGNS.search(path.read_bytes()) is not None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the files unread in which no campaign can be, which are two of three."""
    if config.option.campaigns and collection_path.suffix == ".py" and collection_path.name.startswith("test_"):
        return None if may_hold_campaigns(collection_path) else True
    return None


def in_tier(item: pytest.Item, *, campaigns: bool) -> bool:
    """Return whether a test belongs to the campaigns, or to the samples and everything else.

    Each property test belongs to both: the campaigns draw more and other examples.
    """
    marks = {mark.name for mark in item.iter_markers()}
    return not marks.isdisjoint(("campaign", "sampled", "hypothesis")) if campaigns else "campaign" not in marks


def repeats(item: pytest.Item) -> bool:
    """Return whether a campaign would only show again what was just shown: of a document, or by the fast tests."""
    from tests.suite import budget, documents

    return documents.is_unchanged(item) or budget.was_run(item)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other tier, and begin with the tests that take longest, so that no process waits for the last."""
    from tests.suite import budget

    campaigns = config.option.campaigns
    config.hook.pytest_deselected(items=[item for item in items if not in_tier(item, campaigns=campaigns)])
    unread = [item.nodeid for item in items if in_tier(item, campaigns=True) and not may_hold_campaigns(item.path)]
    if unread:
        raise pytest.UsageError(f"campaigns in files that `make campaigns` leaves unread: {', '.join(unread)}")
    items[:] = [item for item in items if in_tier(item, campaigns=campaigns)]
    if campaigns:
        items[:] = budget.in_order([item for item in items if not repeats(item)], config.option.seed)
    else:
        items.sort(key=lambda item: rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Let the parts of one campaign run beside each other; tests without parts may share what their file makes."""
    if not config.option.campaigns:
        return None
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = lambda nodeid: (
        nodeid if nodeid.endswith("]") and not nodeid.startswith(TOGETHER) else nodeid.partition("::")[0]
    )
    return scheduler


def import_tests(worker: int, workers: int) -> None:
    """Import all test modules, each worker another part of them first.

    In a new clone pytest compiles them, which takes some ten seconds. What one worker has compiled the others read.
    """
    modules = [path for tests in TESTS for path in sorted(tests.rglob("test_*.py")) if may_hold_campaigns(path)]
    first = worker * len(modules) // workers
    for module in modules[first:] + modules[:first]:
        # Whatever fails to be imported is reported when it is collected.
        with suppress(Exception, pytest.skip.Exception):
            importlib.import_module(".".join(module.relative_to(ROOT).with_suffix("").parts))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Collect no garbage while the tests are read: that makes many objects and drops none. Never scan those again."""
    from tests.suite import by_file, product

    gc.disable()
    try:
        if by_file.applies(session.config):
            product.import_all()
        elif xdist.is_xdist_worker(session) and session.config.args == session.config.getini("testpaths"):
            workers = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
            import_tests(int(xdist.get_xdist_worker_id(session).removeprefix("gw")), workers)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_finish() -> None:
    """Go back to keeping compiled code only where the environment allows it: the tests may write code of their own."""
    sys.dont_write_bytecode = DONT_WRITE_BYTECODE


def counts(reports: Iterable[pytest.TestReport]) -> Counter[str]:
    """Return the sum of each number that tests have recorded as a property, by its name."""
    found: Counter[str] = Counter()
    for report in reports:
        found.update({name: value for name, value in report.user_properties if isinstance(value, int)})
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that skipped a test for a reason that is not on the list."""
    # An xdist worker has no terminal reporter; the controller judges for all of them.
    unlisted = unlisted_skips(skip_reasons(session.config), ALLOWED_SKIPS.read_text().splitlines())
    if unlisted and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the campaigns counted, how many tests were skipped, and which reasons are not on the list."""
    done = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    for name, count in counts(report for report in done if report.when == "call").items():
        terminalreporter.write_line(f"{count:,} {name}")
    if config.option.campaigns:
        terminalreporter.write_line(replay(config))
    reasons = skip_reasons(config)
    terminalreporter.write_line(f"skipped tests: {len(reasons)}")
    for reason in unlisted_skips(reasons, ALLOWED_SKIPS.read_text().splitlines()):
        terminalreporter.write_line(f"skip not on the list in tests/{ALLOWED_SKIPS.name}: {reason}", red=True)


def place_for_folders(places: Iterable[str]) -> str | None:
    """Return the first of these folders that can be written and has room; None if there is none."""
    return next((p for p in places if os.access(p, os.W_OK) and shutil.disk_usage(p).free > ROOM), None)


def use_short_folder() -> None:
    """Keep temporary folders under a short name without blanks, whatever TMPDIR says, and remove them in the end.

    Names of sockets are limited to some 100 bytes, and tests compare texts that name folders. `--basetemp` keeps them.
    """
    folder = tempfile.mkdtemp(prefix="tests-", dir=place_for_folders(PLACES))
    # Some tests become another user, who must get through.
    os.chmod(folder, 0o711)  # noqa: S103
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["TMPDIR"], tempfile.tempdir = folder, None
    os.environ[calendars.KEPT] = f"{folder}/kept"


forget_outside_settings(os.environ)
if "PYTEST_XDIST_WORKER" not in os.environ:
    use_short_folder()
calendars.know_once()
# Where nothing compiled may be kept, every worker would rewrite the assertions of all test files again, which takes
# longer than everything else before the first test.
sys.dont_write_bytecode = False
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that runs the tests in the background has them ignore Ctrl-C, and so would all that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A failing example is printed as a line that replays it. There is no database of examples, so that
# a run never depends on what an earlier one left behind.
# The suite draws the same examples in each run, so that a change is held up by its own faults alone; `fresh` draws as
# many new ones, and the campaigns more, from their seed.
hypothesis.settings.register_profile(
    "suite", max_examples=10, deadline=None, database=None, print_blob=True, derandomize=True
)
hypothesis.settings.register_profile("fresh", max_examples=10, deadline=None, database=None, print_blob=True)
hypothesis.settings.register_profile("campaigns", max_examples=50, deadline=None, database=None, print_blob=True)
