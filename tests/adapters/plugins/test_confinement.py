"""A plug-in that tries each way to our keys and to a longer life, with what this machine offers and with less."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from commands.strategy.run import describe_confinement
from tests.adapters.plugins import hostile
from tests.adapters.plugins.test_plugin import VIEW
from tests.kit.waiting import until
from tradebot.adapters.plugins import confinement, linux_isolation, linux_syscalls
from tradebot.adapters.plugins.confinement import Confinement, Means, Protections, working_mechanisms
from tradebot.adapters.plugins.file_access import FileAccess, reach_of
from tradebot.adapters.plugins.plugin import PluginEnvironment, PluginStrategy, begin_pass
from tradebot.adapters.plugins.protocol import GROUP, AnswerBounds
from tradebot.model.decision import Decision
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

CANARY = "".join(("cana", "ry-of-a-shell"))
WAYS = {
    "files": [
        *("env_file", "state", "link", "second_name", "program", "roots"),
        *("mount", "change_mode", "truncate", "plant", "set_times", "watch"),
    ],
    "names": ["names", "fill"],
    "processes": [
        *("environments", "memory", "trace", "handle", "signals", "keeper", "descriptors"),
        *("limit", "slow", "priority"),
    ],
    "network": ["tcp", "udp", "unix", "abstract"],
}
LESS = """
import os
from tradebot.adapters.plugins import linux_isolation
if "{filter}" == "no":
    linux_isolation.TABLES.clear()
else:
    refusal, linux_isolation.REFUSE = linux_isolation.REFUSE, linux_isolation.{filter}
    architecture = linux_isolation.TABLES[os.uname().machine][0]
    refused = [step for number in {refused} for step in linux_isolation.refuse(number)]
    linux_isolation.install(architecture, refused)
    linux_isolation.REFUSE = refusal
"""
FIRST = """
from tradebot.adapters.plugins import confinement
confinement.version = lambda: 1
"""
UNSHARE = {"x86_64": 272, "aarch64": 97}.get(os.uname().machine, 0)
MACHINES: Mapping[str, str | None] = {
    "as it is": None,
    "without namespaces": LESS.format(filter="REFUSE", refused=[UNSHARE]),
    "without Landlock": LESS.format(filter="REFUSE", refused=[confinement.CREATE_RULESET]),
    "with the first Landlock alone": LESS.format(filter="REFUSE", refused=[UNSHARE]) + FIRST,
    "that ends who tries Landlock": LESS.format(filter="END", refused=[confinement.CREATE_RULESET]),
    "without a filter": LESS.format(filter="no", refused=[]),
    "with Landlock alone": LESS.format(filter="REFUSE", refused=[UNSHARE]) + "linux_isolation.TABLES.clear()",
}
NOTHING = LESS.format(filter="REFUSE", refused=[UNSHARE, confinement.CREATE_RULESET])
"""What Python runs first in the keeper: from then on the kernel refuses these calls, as one that lacks them does."""


@dataclass
class Prey:
    """A bot's folder with keys in it, a shell whose environment holds one, and sockets to be reached."""

    home: Path
    shell: int
    settings: dict[str, object] = field(default_factory=dict)

    def ask(self, *ways: str, seconds: float = 20.0) -> Decision:
        with closing(self.plugin(seconds)) as plugin:
            return ask(plugin, *ways)

    def plugin(self, seconds: float = 20.0) -> PluginStrategy:
        surroundings = PluginEnvironment(
            AnswerBounds(seconds, 2**31),
            os.environ | {"MARK": str(self.home)},
            (self.home / "state", self.home / ".env"),
        )
        return PluginStrategy(EntryPoint("hostile", "hostile:Hostile", GROUP), self.settings, surroundings)

    def left(self) -> list[int]:
        """Return the processes of the plug-in that run, by the mark in their environment."""
        return [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/environ") if self.marked(path)]

    def marked(self, path: Path) -> bool:
        try:
            return f"MARK={self.home}".encode() in path.read_bytes()
        except OSError:
            return False


def ask(plugin: PluginStrategy, *ways: str) -> Decision:
    decision = plugin.propose(replace(VIEW, slot=" ".join(ways)))
    assert isinstance(decision, Decision)
    return decision


def worked(decision: Decision) -> set[str]:
    """Return which ways worked, as the plug-in tells by what it raises."""
    told = str(decision.observed)
    assert "worked: " in told, told
    return set(told.partition("worked: ")[2].partition(".")[0].split())


@pytest.fixture
def prey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prey]:
    """Yield the prey; the plug-in lies beside the bot's own files, as in a folder that holds both."""
    for folder in ("state", "declared"):
        (tmp_path / folder).mkdir()
    (tmp_path / "declared" / "model.bin").write_text("weights")
    for name in (".env", "state/state.id", "state/ledger.db"):
        (tmp_path / name).write_text(CANARY)
    shutil.copy(hostile.__file__, tmp_path / "hostile.py")
    monkeypatch.syspath_prepend(tmp_path)
    with ExitStack() as stack:
        shell = stack.enter_context(subprocess.Popen(["/bin/sleep", "60"], env={**os.environ, "KEY": CANARY}))
        stack.callback(shell.kill)
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for name in (str(tmp_path / "socket"), f"\0{tmp_path}"):
            named = stack.enter_context(socket.socket(socket.AF_UNIX))
            named.bind(name)
            named.listen()
        prey = Prey(tmp_path, shell.pid)
        prey.settings = {
            "bot": shell.pid,
            "canary": CANARY,
            "env_file": str(tmp_path / ".env"),
            "state": str(tmp_path / "state"),
            "book": str(tmp_path / "state" / "ledger.db"),
            "port": listening.getsockname()[1],
            "unix": str(tmp_path / "socket"),
            "abstract": str(tmp_path),
            # What a section declares opens nothing beside it.
            "files": [str(tmp_path / "declared" / "model.bin")],
        }
        yield prey


@pytest.mark.parametrize("machine", MACHINES)
def test_hostile_plug_in_reaches_nothing_that_is_reported_protected(prey: Prey, machine: str) -> None:
    less = MACHINES[machine]
    if less:
        (prey.home / "sitecustomize.py").write_text(less)
    with closing(prey.plugin()) as plugin:
        protections = plugin.protections()
        shut = [way for door, ways in WAYS.items() if getattr(protections, door) for way in ways]
        shut += ["fork"] if Means.CALL_FILTER in protections.leftovers else []
        assert worked(ask(plugin, *shut, "unbounded", "daemon", "bomb")) == set()
    assert (prey.home / "state" / "ledger.db").read_text() == CANARY
    assert prey.left() == []
    if set(_offered()) >= {Means.LANDLOCK, Means.NAMESPACES}:
        alone = machine == "with Landlock alone"
        assert (protections.keep_keys, (protections.files, protections.processes) == ((), ())) == (not alone, alone)
    if machine == "as it is" and Means.NAMESPACES in _offered():
        assert len(shut) == sum(map(len, WAYS.values())) + 1


def _offered() -> set[Means]:
    """Return what this machine offers, asked without the code that confines."""
    return working_mechanisms({Means.LANDLOCK: confinement.version, Means.NAMESPACES: linux_isolation.enter})


def test_protections_are_empty_where_the_system_offers_nothing(prey: Prey) -> None:
    (prey.home / "sitecustomize.py").write_text(NOTHING)
    with closing(prey.plugin()) as plugin:
        protections = plugin.protections()
        assert (protections.files, protections.processes, protections.keep_keys) == ((), (), False)
        assert "your keys are NOT protected from it" in describe_confinement(protections)
        assert {"env_file", "state"} <= worked(ask(plugin, *WAYS["files"]))
        begin_pass([plugin])
        assert worked(ask(plugin, "daemon", "bomb", "unbounded")) == set()
        assert prey.left() == []


@pytest.mark.parametrize("machine", ["without a filter", "with Landlock alone"])
def test_processes_left_after_a_good_answer_are_ended(prey: Prey, machine: str) -> None:
    (prey.home / "sitecustomize.py").write_text(str(MACHINES[machine]))
    with closing(prey.plugin()) as plugin:
        assert plugin.propose(VIEW) == ()
        assert ask(plugin, hostile.LEAVING).observed == "it left a process running"
        assert prey.left() == []


@pytest.mark.campaign
def test_hanging_plug_in_is_ended_with_everything_it_started(prey: Prey) -> None:
    began = time.monotonic()
    assert prey.ask("daemon", "hang", seconds=3.0).reason is Reason.STRATEGY_TIMEOUT
    assert prey.left() == []
    assert time.monotonic() - began < 60


def test_a_plug_in_ends_when_the_bot_is_killed_whether_it_is_answering_or_not(prey: Prey) -> None:
    program = (
        "from tests.adapters.plugins.test_confinement import VIEW, Prey, Path\n"
        f"prey = Prey(Path({str(prey.home)!r}), 0, {prey.settings!r})\n"
        "idle = prey.plugin()\nassert idle.propose(VIEW) == ()\nprey.ask('daemon', 'hang')"
    )
    path = os.pathsep.join(filter(None, sys.path))
    bot = subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": path})
    try:
        until(lambda: len(prey.left()) > 4)
    finally:
        bot.kill()
        bot.wait()
    until(lambda: not prey.left())


def test_another_user_reads_neither_the_keys_nor_our_environment(prey: Prey) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "own").mkdir()
        (place / ".env").touch(0o600)
        (place / "notes").touch(0o644)
        confined = Confinement(frozenset({Means.OTHER_USER}), FileAccess((), (), place / "own"), place)

        def reads(path: str | Path) -> bool:
            def trial() -> None:
                confined.enter()
                Path(path).read_bytes()

            return bool(working_mechanisms({Means.OTHER_USER: trial}))

        found = [reads(path) for path in (place / ".env", f"/proc/{prey.shell}/environ", place / "notes")]
    # Only root becomes somebody else.
    assert found == [False, False, os.geteuid() == 0]


def test_package_folder_is_readable_without_its_private_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("package", "bot/state", "another"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("package/__init__.py", "bot/.env", "bot/notes.py", ".env", "another/state.id"):
        (tmp_path / name).touch()
    monkeypatch.syspath_prepend(tmp_path)
    reach = reach_of("package:It", tmp_path / "own", (tmp_path / "bot" / "state", tmp_path / "bot" / ".env"))
    found = {str(path.relative_to(tmp_path)) for path in reach.read if path.is_relative_to(tmp_path)}
    assert found == {"package", "bot/notes.py"}
    assert tmp_path in reach.listed


def test_a_plug_in_computes_writes_to_a_folder_of_its_own_and_keeps_nothing_there(
    prey: Prey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    (prey.home / "hostile.py").write_text(HONEST)
    with closing(prey.plugin()) as plugin:
        assert plugin.propose(VIEW) == ()
        assert [path.name.startswith("tradebot-plugin-") for path in place.iterdir()] == [True]
    assert not list(place.iterdir())


def test_next_keeper_removes_only_what_a_killed_one_left(
    prey: Prey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    monkeypatch.setenv("TMPDIR", str(place))
    kept = {"tradebot-plugin-new", "tradebot-plugin-link", "tradebot-plugin-file", "others"}
    kept |= {"tradebot-plugin-running"}
    kept |= {"tradebot-plugin-nobodys"} if not os.geteuid() else set()
    for name in (
        "tradebot-plugin-old",
        "tradebot-plugin-running",
        "tradebot-plugin-nobodys",
        "tradebot-plugin-new",
        "others",
    ):
        (place / name / "own" / "shut").mkdir(parents=True)
    (place / "tradebot-plugin-old" / "own" / "shut").chmod(0)
    (place / "tradebot-plugin-link").symlink_to(place / "others")
    (place / "tradebot-plugin-file").touch()
    for path in place.iterdir():
        if path.name != "tradebot-plugin-new":
            os.utime(path, (0, 0), follow_symlinks=False)
    if not os.geteuid():
        os.chown(place / "tradebot-plugin-nobodys", 65_534, 65_534)
    running = os.open(place / "tradebot-plugin-running", os.O_RDONLY)
    fcntl.flock(running, fcntl.LOCK_EX)
    prey.ask("names")
    os.close(running)
    assert {path.name for path in place.iterdir()} == kept
    assert (place / "others" / "own").exists()


HONEST = """
import asyncio, os, pathlib, tempfile, time, zoneinfo
import numpy, pandas
from tradebot.ports import Needs
class Hostile:
    needs = Needs()
    times = ""
    def __init__(self, settings): pass
    def propose(self, view):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("x")
        assert os.path.samefile(os.getcwd(), pathlib.Path.home()), os.getcwd()
        assert not os.path.exists(".env")
        assert pandas.Series(numpy.arange(3)).mean() == 1
        zoneinfo.ZoneInfo("America/New_York")
        asyncio.run(asyncio.sleep(0))
        assert time.time() > 0
        return []
"""


def test_each_system_call_that_fails_says_which_one() -> None:
    with pytest.raises(OSError, match="prctl: Invalid argument"):
        linux_syscalls.call("prctl", -1, 0, 0, 0, 0)
    with pytest.raises(OSError, match="no_such_call: Function not implemented"):
        linux_syscalls.call("no_such_call")


def test_open_access_is_described_in_plain_words() -> None:
    shut = Protections(*[(Means.LANDLOCK,)] * 5)
    assert describe_confinement(shut).startswith("can't reach your keys")
    assert describe_confinement(replace(shut, names=())) == "can see the names, sizes and times of this user's files."
    assert describe_confinement(replace(shut, network=())) == (
        "can use the network: your keys are NOT protected from it."
    )
