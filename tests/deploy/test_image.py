"""The image as it runs: built from its Containerfile, confined as compose says, and all that it is used for."""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.deploy.image import Container, Image, lacking, stop
from tests.deploy.test_container import COMPOSE, FOLDER, ROOT

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
