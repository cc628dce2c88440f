"""The guides for servers: every file that they name exists, and everything inside systemd and Docker is really run.

Neither of the two is here. What they would start is run: the unit's or the image's own command line, in a folder of the
test in place of /var/lib/tradebot, with the signals that they would send. `tests/deploy` checks the units and the
Containerfile themselves, with `systemd-analyze verify` where there is one.
"""

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.test_units import commands, unit
from tests.docs.following import NOTHING, follow
from tests.kit.bot import forked
from tests.kit.bot.folder import Said, typed
from tests.kit.bot.real_money import KEYS, bent_to, environment, made_in_its_time
from tests.kit.recipes import ROOT
from tradebot.app import sandbox

# What systemd and Docker do with a bot in the guides for servers: start `serve`, signal it, and stop it.


class Daemon:
    """A bot's `serve`, in the folder and the environment of its unit or its image; its log comes on stderr."""

    def __init__(self, arguments: Sequence[str], folder: Path, environ: Mapping[str, str]) -> None:
        self._process = forked.start(arguments, subprocess.DEVNULL, first=lambda: os.chdir(folder), **environ)
        self._log: list[str] = []
        self._wait_for("started by")

    def reload(self) -> None:
        """Let it read its configuration again, and wait until it says so."""
        self._process.send_signal(signal.SIGHUP)
        self._wait_for("config_reloaded")

    def stop(self) -> int:
        """End it as a service is ended, and return its exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            _, rest = self._process.communicate(timeout=60)
        finally:
            self._process.kill()
        self._log += rest.splitlines()
        return self._process.returncode

    def documents(self) -> list[dict[str, Any]]:
        """Return what it has logged so far, one JSON object per line."""
        return [json.loads(line) for line in self._log]

    def _wait_for(self, words: str) -> None:
        assert self._process.stderr is not None
        while not (self._log and words in self._log[-1]):
            line = self._process.stderr.readline()
            assert line, self._log
            self._log.append(line)


DEPLOY = ROOT / "deploy"
INSTALLED = "/opt/tradebot/.venv/bin"


class Machine:
    """A machine whose bots' folders are below `place`. The broker of a paper bot is the exchange of the first one."""

    def __init__(self, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.place, self.running, self.stopped = place, dict[str, Daemon](), list[Daemon]()
        self._capsys = capsys

    def verb(self, words: Sequence[str], folder: Path) -> Said:
        """Run a verb in a folder, with the broker of a paper bot on loopback."""
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            patch.chdir(folder)
            if "paper" in words:
                stack.enter_context(environment(KEYS))
                url = sandbox.start(next(self.place.rglob("exchange")))
                stack.enter_context(bent_to(url))
                stack.enter_context(made_in_its_time(url))
            return typed(self._capsys, *words)

    def start(self, name: str, command: str, folder: Path) -> Said:
        program, *words = shlex.split(command)
        assert Path(program).name == "tradebot"
        self.running[name] = Daemon(words, folder, {"TRADEBOT_STATE": str(folder / "state")})
        return NOTHING

    def stop(self, name: str) -> Said:
        daemon = self.running.pop(name)
        self.stopped.append(daemon)
        return Said(daemon.stop(), "", "")


@pytest.fixture
def machine(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.chdir(ROOT)
    machine = Machine(tmp_path, capsys)
    yield machine
    for name in list(machine.running):
        machine.stop(name)
    for exchange in tmp_path.rglob("exchange"):
        sandbox.stop(exchange)


class Systemd:
    """What `sudo`, `systemctl` and `journalctl` do in the guide; `%i` is the bot's name, as in the unit."""

    def __init__(self, machine: Machine) -> None:
        self.machine, self.enabled = machine, list[str]()
        self.service = unit(DEPLOY / "systemd" / "tradebot@.service")["Service"]

    def sudo(self, command: str) -> Said:
        program, *words = shlex.split(command)[1:]
        if program == "systemd-run":
            return self.run(words)
        if program == "systemctl":
            return self.systemctl(words)
        named = [word for word in words if word.startswith("deploy/")]
        assert all(list(ROOT.glob(name)) for name in named), command
        assert Path(program).name in {"python3", "pip", "ln", "useradd", "cp", "install"}, command
        return NOTHING

    def run(self, words: Sequence[str]) -> Said:
        """Do as `systemd-run` does: the same user, folders and keys as in the unit, by which the bot runs later."""
        at = words.index(f"{INSTALLED}/tradebot")
        options = words[:at]
        assert f"--uid={self.service['User']}" in options
        given = dict(option.split("=", 1) for flag, option in pairwise(options) if flag == "-p")
        name = given["StateDirectory"].removeprefix("tradebot/")
        keys = {"EnvironmentFile": self._of(name, "EnvironmentFile").removeprefix("-")}
        assert given == {
            "StateDirectory": self._of(name, "StateDirectory"),
            "WorkingDirectory": self._of(name, "WorkingDirectory"),
            **(keys if "EnvironmentFile" in given else {}),
        }
        return self.machine.verb(words[at + 1 :], self.machine.place / name)

    def _of(self, name: str, key: str) -> str:
        return str(self.service[key]).replace("%i", name)

    def systemctl(self, words: Sequence[str]) -> Said:
        action, name = words[0], words[-1]
        if action == "daemon-reload":
            return NOTHING
        stem, _, bot = name.partition("@")
        path = DEPLOY / "systemd" / (f"{stem}@.service" if bot else name)
        assert path.exists(), name
        if action == "enable":
            assert "--now" in words
            assert unit(path)["Install"], "it can't be enabled"
            self.enabled.append(name)
            # The broker of the paper bot is on loopback only for the verbs of this process.
            return self.machine.start(bot, commands(path)[0], self.machine.place / bot) if bot == "try" else NOTHING
        if action == "reload":
            self.machine.running[bot].reload()
            return NOTHING
        assert action in {"status", "stop"}, action
        return self.machine.stop(bot) if action == "stop" else NOTHING

    def bot(self, command: str) -> Said:
        return self.machine.verb(shlex.split(command)[1:], self.machine.place / "try")


@pytest.mark.campaign(follows="docs/guides/systemd.md")
def test_a_bot_runs_under_systemd(machine: Machine) -> None:
    systemd = Systemd(machine)
    instead = {
        "sudo": systemd.sudo,
        "systemctl": lambda command: systemd.systemctl(shlex.split(command)[1:]),
        "journalctl": lambda command: NOTHING,
        "python3 -m pip wheel": lambda command: NOTHING,
        "bot()": lambda command: NOTHING,
        "bot": systemd.bot,
    }
    said = follow("systemd", machine._capsys, instead)
    assert systemd.enabled == ["tradebot@try", "tradebot@main", "tradebot-watchdog.timer"]
    (daemon,) = machine.stopped
    assert {"started by", "config_reloaded"} <= {words for line in daemon.documents() for words in _said(line)}
    assert said["bot status"].out
    marker = (machine.place / "main" / "state" / "state.id").read_text()
    assert '"paper"' in marker


def _said(line: dict[str, object]) -> Iterator[str]:
    yield str(line["event_type"])
    yield " ".join(re.findall(r"'message': '(started by)", str(line["details"])))


class Docker:
    """What `docker compose` does in the guide with the services of the compose file."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.services = yaml.safe_load((DEPLOY / "container" / "compose.yaml").read_text())["services"]
        lines = (DEPLOY / "container" / "Containerfile").read_text().replace("\\\n", " ").splitlines()
        self.image = {line.split()[0]: line.split(maxsplit=1)[1] for line in lines if re.match(r"[A-Z]+ ", line)}

    def compose(self, command: str) -> Said:
        words = shlex.split(command)[2:]
        project = self._option(words, "-p") or "tradebot"
        folder = self.machine.place / project
        action, service = words.pop(0), "bot"
        signal, tail = self._option(words, "-s"), self._option(words, "--tail")
        words = [word for word in words if word not in {"--rm", "-d"}]
        assert words.pop(0) == service
        assert service in self.services
        if action == "run":
            assert self.image["ENTRYPOINT"] == '["tradebot"]'
            return self.machine.verb([*words, *self._place(folder)], folder)
        if action == "exec":
            assert words.pop(0) == "tradebot"
            return self.machine.verb([*words, *self._place(folder)], folder)
        assert words == [], command
        return self._of_daemon(action, project, folder, signal or tail or "")

    def _of_daemon(self, action: str, project: str, folder: Path, given: str) -> Said:
        if action == "build":
            built = self.services["bot"]["build"]
            assert (DEPLOY / "container" / built["context"] / built["dockerfile"]).exists()
        elif action == "up" and project == "tradebot":
            arguments = re.findall(r'"([^"]+)"', self.image["ENTRYPOINT"] + self.image["CMD"])
            self.machine.start(project, shlex.join(arguments), folder)
        elif action == "ps":
            assert "tradebot health --probe" in self.image["HEALTHCHECK"]
            return self.machine.verb(["health", "--probe", *self._place(folder)], folder)
        elif action == "kill":
            assert given == "HUP"
            self.machine.running[project].reload()
        elif action == "stop":
            return self.machine.stop(project)
        else:
            assert action in {"logs", "up"}, action
        return NOTHING

    @staticmethod
    def _place(folder: Path) -> list[str]:
        return ["--state-dir", str(folder / "state")]

    @staticmethod
    def _option(words: list[str], name: str) -> str | None:
        if name not in words:
            return None
        at = words.index(name)
        words.pop(at)
        return words.pop(at)


@pytest.mark.campaign(follows="docs/guides/container.md")
def test_a_bot_runs_in_a_container(machine: Machine) -> None:
    docker = Docker(machine)
    assert "TRADEBOT_STATE=/var/lib/tradebot/state" in docker.image["ENV"]
    instead = {"docker compose": docker.compose, "install -m 600": lambda command: NOTHING}
    said = follow("container", machine._capsys, instead)
    (daemon,) = machine.stopped
    assert "config_reloaded" in {line["event_type"] for line in daemon.documents()}
    assert said["docker compose exec bot tradebot backup --list"].out
    assert '"paper"' in (machine.place / "paper" / "state" / "state.id").read_text()
    env_files = {name for service in docker.services.values() for name in service.get("env_file", ())}
    assert env_files == {"bot.env", "watch.env"}
