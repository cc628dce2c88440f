"""The container: confined, with what it needs and little else, and checked by the bot's own health."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import yaml

from tests.deploy.image import Container, Image, lacking, stop
from tradebot.app.settings import load
from tradebot.model import variables

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy" / "container"
LINES = (FOLDER / "Containerfile").read_text().replace("\\\n", " ").splitlines()
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
BASE_MB = 135
"""python:3.11-slim with Debian 12, unpacked, as `docker images` shows it."""
LARGEST_MB = 400


def instructions(name: str) -> list[str]:
    return [line.removeprefix(name).strip() for line in LINES if line.startswith(f"{name} ")]


def size_of(paths: list[Path]) -> int:
    """Return the bytes of files, those of Python once more for what is compiled of them."""
    found = [path for path in paths if path.is_file() and "tests" not in path.parts and path.suffix != ".pyc"]
    return sum(path.stat().st_size * (2 if path.suffix == ".py" else 1) for path in found)


def test_tree_stays_under_its_bound() -> None:
    lock = (ROOT / "deploy" / "core.lock").read_text().splitlines()
    here = [line for line in lock if not line.startswith(" ") and "sys_platform == 'win32'" not in line]
    # A library has a pin for each version of Python that it needs another release for.
    pinned = {line.partition("==")[0] for line in here}
    installed = [file for name in pinned for file in metadata.files(name) or ()]
    ours = [
        path
        for folder in ("tradebot", "commands", "jobs", "config", "exchange/src")
        for path in (ROOT / folder).rglob("*")
    ]
    total_mb = (size_of([Path(str(file.locate())) for file in installed]) + size_of(ours)) / 1e6
    assert total_mb > 150, "the libraries weren't found"
    assert total_mb + BASE_MB < LARGEST_MB


def test_bot_runs_without_rights_on_what_it_cannot_change() -> None:
    assert instructions("USER") == ["tradebot"]
    assert instructions("VOLUME") == ["/var/lib/tradebot"]
    assert instructions("HEALTHCHECK")[0].endswith("CMD tradebot health --probe || exit 1")
    assert instructions("ENTRYPOINT") == ['["tradebot"]']
    for name in ("bot", "watch", "prometheus"):
        service = COMPOSE["services"][name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
        assert "no-new-privileges:true" in service["security_opt"]
        assert service["logging"]["options"]["max-size"]


def test_bot_and_watch_load_their_settings_in_the_environment_that_image_and_compose_set() -> None:
    image = dict(re.findall(r"(\w+)=(\S+)", instructions("ENV")[0]))
    assert {variables.STATE, variables.WATCHDOG} < image.keys()
    for name in ("bot", "watch"):
        load(None, {**image, **COMPOSE["services"][name]["environment"]})


def test_what_is_copied_is_there_and_nothing_secret_is(tmp_path: Path) -> None:
    copied = [line.split()[0] for line in instructions("COPY") if not line.startswith("--from")]
    assert all((ROOT / name).exists() for name in copied)
    allowed = {line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"}
    assert {name.rstrip("/") for name in copied} | {"deploy/core.lock", "README.md", "LICENSE"} >= allowed - {""}
    assert not any(name.startswith(".env") for name in allowed)


def test_bot_has_time_to_end_and_prometheus_asks_where_it_answers() -> None:
    services: dict[str, Any] = COMPOSE["services"]
    bot = services["bot"]
    assert int(bot["stop_grace_period"].rstrip("s")) > load(None, {}).settings.serve.stop_s
    port = load(None, {"TRADEBOT_HEALTH__PORTS": bot["environment"]["TRADEBOT_HEALTH__PORTS"]}).settings.health.ports
    asked = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert asked["static_configs"][0]["targets"] == [f"127.0.0.1:{port[0]}"]
    assert services["prometheus"]["network_mode"] == "service:bot"
    # It has to reach people when the bot's container is gone.
    assert "network_mode" not in services["watch"]
    assert services["watch"]["command"] == ["watchdog"]


COPIES = "/var/lib/tradebot/copies"
KEPT = ("symbol", "strategy", "quantity", "average_price", "cost_usd", "opened_at")
PATIENCE_S = 180
DEMO = ("env", "TRADEBOT_STATE=/tmp/demo", "tradebot", "demo", "--minutes", "20")
PHONE = {"NOTIFY_PHONE": "http://127.0.0.1:9/nobody"}
INIT = ("init", "--symbols", "AAPL,MSFT,NVDA,AMZN", "--sessions", "5")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if why := lacking():
        pytest.skip(why)
    place = tmp_path_factory.mktemp("image")
    try:
        yield Image(FOLDER / "Containerfile", ROOT, place)
    except ConnectionError:
        pytest.skip("needs an index of packages that the image's build reaches")
    finally:
        shutil.rmtree(place)


def container(image: Image, service: str, keys: Mapping[str, str] = MappingProxyType({}), **volumes: Path) -> Container:
    """Return the container of a service, with folders as the volumes that compose mounts, and keys as in its file."""
    described = COMPOSE["services"][service]
    mounted = (each.split(":") for each in described["volumes"])
    return Container(image, {inside: volumes[name] for name, inside in mounted}, {**described["environment"], **keys})


def said(place: Container, *words: str) -> str:
    """Return what a verb says, which must end well."""
    code, told = place.says("tradebot", *words)
    assert code == 0, f"{words} ended with {code}: {told}"
    return told


def is_healthy(image: Image, place: Container) -> bool:
    return place.says("sh", "-c", image.health)[0] == 0


@pytest.mark.campaign(share=60)
def test_bot_trades_stops_and_is_restored_in_the_containers_that_compose_describes(
    image: Image, tmp_path: Path
) -> None:
    bot = container(image, "bot", bot=tmp_path / "bot")
    watch = container(image, "watch", PHONE, bot=tmp_path / "bot", watch=tmp_path / "watch")
    (tmp_path / "watch" / "watchdog.yaml").write_text("channels: [phone]\nbots: {main: /bot/state}\n")
    anew = container(image, "bot", bot=tmp_path / "anew")
    try:
        assert bot.says("touch", "/opt/x")[0], "its root can be written to"
        assert bot.says(*DEMO)[0] == 0
        said(bot, *INIT)
        log = tmp_path / "log"
        with bot.starts(*image.program, *image.command, "--speed", "1500", into=log) as serve:
            until = time.monotonic() + PATIENCE_S
            while not is_healthy(image, bot) and time.monotonic() < until:
                time.sleep(1)
            assert is_healthy(image, bot)
            assert watch.says("tradebot", "watchdog", "--once")[0] == 0, "it is well"
            stop(serve, image.signal)
            serve.wait(timeout=60)
        assert (serve.returncode, "every order sent is recorded" in log.read_text().splitlines()[-1]) == (0, True)
        assert not is_healthy(image, bot), "its daemon has ended"
        assert watch.says("tradebot", "watchdog", "--once")[0] == 10, "its daemon has ended"
        assert bot.says("mkdir", COPIES)[0] == 0
        said(bot, "backup", "--to", COPIES)
        subprocess.run(["/bin/cp", "-a", tmp_path / "bot" / "copies", tmp_path / "anew"], check=True)
        _, asks = anew.says("tradebot", "restore", "--from", COPIES)
        restored = "restore", "--from", COPIES, "--confirm", asks.split("--confirm ")[1].split()[0]
        assert anew.says("tradebot", *restored)[0] == 10, "a person has to accept its books"
        books = [json.loads(said(place, "positions", "--json"))["data"] for place in (bot, anew)]
        held = [[[row[name] for name in KEPT] for row in one["positions"]] for one in books]
        assert held[0] == held[1]
    finally:
        for place in (bot, watch, anew):
            place.ends()
