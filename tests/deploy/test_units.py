"""The crontab and the systemd units: read strictly, and the very command lines in them are run."""

import configparser
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from commands.web import PORT
from tests.kit.bot import forked
from tests.kit.bot.folder import PROGRAM, made
from tests.kit.values import SESSION
from tradebot.adapters.state.state_folder import WEB_TOKEN
from tradebot.app.settings import load
from tradebot.errors import ExitCode
from tradebot.model.record import Job
from tradebot.model.trading import Mode
from tradebot.timetable.sessions import FETCHING, slots
from tradebot.venues.ibkr.link import PORTS

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [path for path in UNITS if path.suffix == ".service"]
INSTALLED = "/opt/tradebot/.venv/bin"
NEW_YORK = ZoneInfo("America/New_York")
WATCHES = ("tradebot-watchdog", "tradebot-failed@")
"""The services that watch the others: they have no keys of the bot, and a folder of their own."""
GATEWAY = DEPLOY / "systemd" / "tradebot-gateway@.service"
"""Runs another program, for a bot to connect to."""
BOTS = [path for path in SERVICES if path != GATEWAY]
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


class Entry(NamedTuple):
    """One line of a crontab: the minutes, hours and weekdays at which it runs, and its command."""

    minutes: frozenset[int]
    hours: frozenset[int]
    weekdays: frozenset[int]
    command: str

    def runs_at(self, moment: datetime) -> bool:
        day = (moment.weekday() + 1) % 7
        return moment.minute in self.minutes and moment.hour in self.hours and day in self.weekdays


def numbers(text: str, low: int, high: int) -> frozenset[int]:
    """Read one field of a crontab: lists of numbers, ranges and steps; anything else fails the test."""
    found: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"(?:(\*)|(\d+)(?:-(\d+))?)(?:/(\d+))?", part)
        assert match, f"{part!r} is no field of a crontab"
        first = low if match[1] else int(match[2])
        last = high if match[1] else int(match[3] or first)
        assert low <= first <= last <= high, part
        found |= set(range(first, last + 1, int(match[4] or 1)))
    return frozenset(found)


def weekdays(text: str) -> frozenset[int]:
    first, _, last = text.partition("-")
    return frozenset(range(DAYS.index(first), DAYS.index(last or first) + 1))


def crontab() -> tuple[dict[str, str], list[Entry]]:
    """Return the environment and the entries of the crontab."""
    environment: dict[str, str] = {}
    entries: list[Entry] = []
    for line in (DEPLOY / "crontab").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        named = re.fullmatch(r"([A-Z_]+)=(\S+)", line)
        if named:
            environment[named[1]] = named[2]
            continue
        minute, hour, day, month, weekday, command = line.split(None, 5)
        assert (day, month) == ("*", "*")
        assert "%" not in command, "cron takes a percent sign for a line's end"
        entries.append(Entry(numbers(minute, 0, 59), numbers(hour, 0, 23), weekdays(weekday), command))
    return environment, entries


class Repeated(dict[str, Any]):
    """Joins what is said twice, as systemd does."""

    def __setitem__(self, key: str, value: Any) -> None:
        old = self.get(key)
        super().__setitem__(key, old + value if isinstance(old, list) and isinstance(value, list) else value)


def unit(path: Path) -> configparser.RawConfigParser:
    """Read a unit; systemd's repeated keys are joined by lines."""

    parser = configparser.RawConfigParser(dict_type=Repeated, strict=False, delimiters="=", comment_prefixes="#")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def commands(path: Path) -> list[str]:
    return [line.removeprefix("-") for line in unit(path)["Service"]["ExecStart"].splitlines()]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("deploy") / "state") as path:
        yield path


def surroundings(state: Path, programs: Path) -> dict[str, str]:
    """Return all that is in the environment of what cron or systemd starts, the programs in a folder of ours."""
    return {"HOME": str(state.parent), "TRADEBOT_STATE": str(state), "PATH": f"{programs}:/usr/bin:/bin"}


def run(command: str, state: Path, programs: Path = PROGRAM.parent) -> "subprocess.CompletedProcess[str]":
    """Run a command line as a shell of cron or systemd would, with the installed paths put where ours are."""
    program, here = ["/bin/sh", "-c", command.replace(INSTALLED, str(programs))], surroundings(state, programs)
    return subprocess.run(program, env=here, cwd=state.parent, capture_output=True, text=True, timeout=120, check=False)


def does(command: str, state: Path, tmp_path: Path) -> Iterator["subprocess.CompletedProcess[str]"]:
    """Run a command line with a program that prints and keeps what it is told, then ours with all that it was told.

    Yield how each ended, the shell first. Ours begins as a copy of the tests' process, in the same surroundings.
    """
    kept, recorder = tmp_path / "told", tmp_path / "tradebot"
    recorder.write_text(f'#!/bin/sh\necho "$*" | tee -a {kept}\n')
    recorder.chmod(0o755)
    (tmp_path / "sleep").write_text("#!/bin/sh\n")
    (tmp_path / "sleep").chmod(0o755)
    yield run(command, state, tmp_path)
    lines = kept.read_text().splitlines()
    kept.unlink()
    for line in lines:
        yield forked.run(line.split(), first=lambda: begin(state))


def begin(state: Path) -> None:
    os.chdir(state.parent)
    os.environ.clear()
    os.environ.update(surroundings(state, PROGRAM.parent))


def test_the_crontab_knocks_in_each_slot_of_the_timetable_and_on_weekdays_only() -> None:
    environment, entries = crontab()
    assert environment["CRON_TZ"] == "America/New_York"
    assert environment["PATH"].split(":")[0] == INSTALLED
    saturday = datetime(2026, 11, 21, 11, 2, tzinfo=NEW_YORK)
    assert not any(entry.runs_at(saturday) for entry in entries)
    for job, times in load(None, {}).settings.timetable.items():
        knocks = [entry for entry in entries if f"tradebot {job} " in entry.command]
        for slot in slots(job, times, SESSION):
            local = slot.start.astimezone(NEW_YORK)
            assert any(entry.runs_at(local) for entry in knocks), (job, slot.name)


def test_the_jobs_that_look_again_when_asked_again_are_knocked_for_once_a_slot() -> None:
    _, entries = crontab()
    for job in (Job.SCORE, Job.RECONCILE):
        knocks = [entry for entry in entries if f"tradebot {job} " in entry.command]
        moments = [SESSION.open.astimezone(NEW_YORK) + timedelta(minutes=m) for m in range(390)]
        times = load(None, {}).settings.timetable[job]
        assert sum(e.runs_at(m) for e in knocks for m in moments) == len(slots(job, times, SESSION))


def test_entries_are_knocked_for_after_their_flow_and_long_before_they_are_late() -> None:
    _, entries = crontab()
    half_s = load(None, {}).settings.serve.grace_s / 2
    knocks = [entry.command for entry in entries if f"tradebot {Job.TRADE_ONCE}" in entry.command]
    assert {float(command.split()[1].rstrip(";")) <= half_s for command in knocks} == {True}, knocks
    timer = unit(DEPLOY / "systemd" / "tradebot-entries@.timer")["Timer"]
    assert {int(at.split()[2].rpartition(":")[2]) <= half_s for at in timer["OnCalendar"].splitlines()} == {True}


def test_the_lines_of_the_crontab_run_as_they_stand(state: Path, tmp_path: Path) -> None:
    _, entries = crontab()
    verbs = 0
    for command in dict.fromkeys(entry.command for entry in entries):
        shell, *programs = does(command, state, tmp_path)
        assert (shell.returncode, shell.stdout, shell.stderr) == (0, "", ""), command
        assert [(done.returncode, done.stderr) for done in programs] == [(0, "")] * command.count("tradebot"), command
        verbs += len(programs)
    assert verbs == len(Job) + len(load(None, {}).settings.timetable.chores)
    done = run(entries[-1].command, state)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("path", BOTS, ids=lambda path: str(path.name))
def test_each_service_keeps_to_itself_and_finds_its_state_and_keys(path: Path) -> None:
    service, watches = unit(path)["Service"], path.stem in WATCHES
    assert service["User"] == "tradebot"
    assert service["EnvironmentFile"] == f"-/etc/tradebot/{'watchdog' if watches else '%i'}.env"
    assert service["Environment"].split()[0] == f"TRADEBOT_STATE=/var/lib/tradebot/{'main' if watches else '%i'}/state"
    # Several bots on one machine: the folder that a service may write to is its own bot's.
    assert service["StateDirectory"] == ("tradebot-watchdog" if watches else "tradebot/%i")
    assert service["WorkingDirectory"] == f"/var/lib/{service['StateDirectory']}"
    for key, value in (("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("UMask", "0077")):
        assert service[key] == value
    assert "landlock_restrict_self" in service["SystemCallFilter"], "plug-ins could read the keys"
    assert all(command.startswith(f"{INSTALLED}/tradebot ") for command in commands(path))


@pytest.mark.parametrize("path", BOTS, ids=lambda path: str(path.name))
def test_each_service_sets_no_variable_that_the_settings_refuse(path: Path) -> None:
    load(None, dict(each.split("=", 1) for each in unit(path)["Service"]["Environment"].split()))


def test_serve_is_started_again_but_not_where_a_person_is_needed() -> None:
    service = unit(DEPLOY / "systemd" / "tradebot@.service")["Service"]
    assert service["Restart"] == "on-failure"
    needs_a_person = (ExitCode.USAGE, ExitCode.REFUSED, ExitCode.AUTHENTICATION, ExitCode.ANOTHER_INSTANCE)
    assert service["RestartPreventExitStatus"] == " ".join(str(int(code)) for code in needs_a_person)
    assert commands(DEPLOY / "systemd" / "tradebot@.service") == [f"{INSTALLED}/tradebot serve --log -"]


def test_the_pages_start_only_with_a_token_that_a_person_has_seen_and_with_a_port_of_the_bots_own() -> None:
    parsed = unit(DEPLOY / "systemd" / "tradebot-web@.service")
    service = parsed["Service"]
    assert parsed["Unit"]["AssertPathExists"] == f"/var/lib/tradebot/%i/state/{WEB_TOKEN}", "the journal would show it"
    assert service["Environment"].split()[1:] == [f"WEB_PORT={PORT}"]
    assert commands(DEPLOY / "systemd" / "tradebot-web@.service") == [f"{INSTALLED}/tradebot web --port ${{WEB_PORT}}"]


def test_the_gateway_has_a_folder_and_keys_of_its_own_and_says_when_it_listens() -> None:
    service = unit(GATEWAY)["Service"]
    assert (service["User"], service["StateDirectory"]) == ("tradebot", "tradebot-gateway/%i")
    assert service["WorkingDirectory"] == "/var/lib/tradebot-gateway/%i"
    assert service["EnvironmentFile"] == "/etc/tradebot/%i-gateway.env", "the bot's own file has nothing of its login"
    assert f"GATEWAY_PORT={PORTS[Mode.PAPER]}" in service["Environment"].split()
    waits, tells = service["ExecStartPost"].splitlines()
    assert tells == "+-/usr/bin/systemctl reload tradebot@%i.service"
    tries, pause_s = (
        int(number) for number in re.findall(r"1\.\.(\d+)|sleep (\d+)", waits) for number in number if number
    )
    assert tries * pause_s < int(service["TimeoutStartSec"]), "systemd would end it before it has waited"


@pytest.mark.parametrize("listens", [True, False])
def test_the_gateways_hook_ends_once_its_port_is_open(listens: bool, tmp_path: Path) -> None:
    (tmp_path / "sleep").write_text(f"#!/bin/sh\necho >> {tmp_path}/waited\n")
    (tmp_path / "sleep").chmod(0o755)
    command = unit(GATEWAY)["Service"]["ExecStartPost"].splitlines()[0]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if not listens:
            server.close()
        here = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GATEWAY_PORT": str(port)}
        done = subprocess.run(["/bin/sh", "-c", command], env=here, timeout=60, check=False)
    waited = tmp_path / "waited"
    assert (done.returncode, waited.exists()) == ((0, False) if listens else (1, True))


def test_serve_reports_to_its_manager_and_is_given_time_to_end() -> None:
    service, bounds = unit(DEPLOY / "systemd" / "tradebot@.service")["Service"], load(None, {}).settings.serve
    assert (service["Type"], service["ExecReload"]) == ("notify", "/bin/kill -HUP $MAINPID")
    assert int(service["TimeoutStopSec"]) > bounds.stop_s
    assert service["TimeoutStartSec"] == "infinity", "a broker that is away would end it"
    assert int(service["WatchdogSec"]) > 10, "one look that takes long would end it"


@pytest.mark.parametrize("path", [p for p in UNITS if p.suffix == ".timer"], ids=lambda path: str(path.name))
def test_each_timer_starts_a_unit_that_is_there(path: Path) -> None:
    named = unit(path)["Timer"]["Unit"]
    assert named.replace("@%i.", "@.") == f"{path.stem}.service"
    assert (DEPLOY / "systemd" / named.replace("@%i.", "@.")).exists(), named


def test_the_one_shot_services_run_the_verbs_in_the_order_of_the_chain(state: Path, tmp_path: Path) -> None:
    chain = commands(DEPLOY / "systemd" / "tradebot-chain@.service")
    assert [line.split() for line in chain] == [[f"{INSTALLED}/tradebot", job] for job in FETCHING]
    passes = {"exits": Job.EVALUATE_EXITS, "entries": Job.TRADE_ONCE, "reconcile": Job.RECONCILE}
    for name, job in passes.items():
        assert commands(DEPLOY / "systemd" / f"tradebot-{name}@.service") == [f"{INSTALLED}/tradebot {job}"]
    for line in (chain[-1], f"{INSTALLED}/tradebot {Job.RECONCILE}"):
        ends = list(does(line, state, tmp_path))
        assert [done.returncode for done in ends] == [0, 0], ends


def test_the_chores_are_knocked_for_after_the_close_of_whole_and_half_days() -> None:
    chores = [line.job for line in load(None, {}).settings.timetable.chores]
    service = commands(DEPLOY / "systemd" / "tradebot-chores@.service")
    assert [line.split()[1:] for line in service] == [["schedule", "run", chore] for chore in chores]
    _, entries = crontab()
    (entry,) = [entry for entry in entries if "schedule run" in entry.command]
    assert re.findall(r"schedule run (\w+)", entry.command) == chores
    for close in (datetime(2026, 11, 25, 16, tzinfo=NEW_YORK), datetime(2026, 11, 27, 13, tzinfo=NEW_YORK)):
        assert entry.runs_at(close + timedelta(minutes=40))


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.name))
def test_a_service_that_fails_for_good_tells_people_and_the_one_that_tells_does_not(path: Path) -> None:
    named = unit(path)["Unit"].get("OnFailure")
    assert named == (None if path.stem in WATCHES else "tradebot-failed@%N.service")


@pytest.mark.parametrize("path", SERVICES, ids=lambda path: str(path.name))
def test_each_service_is_little_exposed(path: Path, tmp_path: Path) -> None:
    checker = shutil.which("systemd-analyze")
    if checker is None:
        pytest.skip("needs systemd-analyze")
    copy = tmp_path / path.name.replace("@.", "@main.")
    copy.write_text(path.read_text())
    program = [checker, "security", "--offline=true", "--threshold=20", "--no-pager", str(copy)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    assert float(found[1]) <= 2.0


def test_the_watch_looks_once_and_the_unit_of_failures_names_what_failed() -> None:
    watch, failed = (commands(DEPLOY / "systemd" / f"{name}.service") for name in WATCHES)
    assert watch == [f"{INSTALLED}/tradebot watchdog --once"]
    assert failed == [f"{INSTALLED}/tradebot watchdog --once --failed %i"]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    checker = shutil.which("systemd-analyze")
    if checker is None:
        pytest.skip("needs systemd-analyze")
    for path in UNITS:
        # It looks whether the program exists, which it does where the units are installed.
        text = path.read_text().replace(f"{INSTALLED}/tradebot", "/bin/true").replace("/usr/bin/xvfb-run", "/bin/true")
        (tmp_path / path.name).write_text(text.replace("/usr/bin/systemctl", "/bin/true"))
    named = [path.name.replace("@.", "@main.") for path in UNITS]
    program = [checker, "verify", "--man=no", *(str(tmp_path / name) for name in named)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    said = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "tradebot" in line]
    assert (done.returncode, said) == (0, []), done.stderr
