"""What tests of verbs share."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from commands.compare import report as compared
from commands.report import chart, page
from commands.shared.times import venue_day
from tests.kit.bot.folder import Bot
from tests.kit.fakes import receivers
from tests.kit.fakes.receivers import KEY, SECRET, Bucket

Picture = dict[str, object] | None


@pytest.fixture(scope="session", autouse=True)
def drawn_once() -> Iterator[None]:
    """Draw the same figures once for all pages: it takes longer than everything else of them."""
    drawn = dict[tuple[object, ...], Picture]()

    def picture(draw: Callable[..., Picture], figures: object) -> Picture:
        key = draw.__name__, repr(figures), repr(venue_day())
        if key not in drawn:
            drawn[key] = draw(figures)
        return drawn[key]

    with pytest.MonkeyPatch.context() as patch:
        for module, name, draw in (
            (page, "curve", chart.curve),
            (page, "details", page.details),
            (compared, "curve", chart.curve),
        ):
            patch.setattr(module, name, partial(picture, draw))
        yield


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Bucket]:
    """Serve a bucket whose keys are in the environment; no file of this machine's owner is read."""
    keys = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_EC2_METADATA_DISABLED": "true"}
    files = {"AWS_CONFIG_FILE": str(tmp_path / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none")}
    with receivers.serving() as found:
        for name, text in {**keys, **files, "AWS_ENDPOINT_URL_S3": found.address, "AWS_MAX_ATTEMPTS": "1"}.items():
            monkeypatch.setenv(name, text)
        yield found


@pytest.fixture
def traded_bot(shared_trader: Bot) -> Bot:
    """Return a bot that has traded, shared by a module's tests."""
    if not shared_trader.json("positions")["positions"]:
        assert shared_trader.says("trade-once").code == 0
        shared_trader.does("exchange tick 5m", "evaluate-exits", "reconcile")
    return shared_trader


@pytest.fixture
def refusing(shared_trader: Bot) -> Bot:
    """Return a bot after two passes: the first bought AMZN, the second refuses all that it looks at."""
    if not shared_trader.json("positions")["positions"]:
        assert shared_trader.json("trade-once")["orders"] == 1
        shared_trader.does("exchange tick 5m", "fetch-flow")
        assert shared_trader.json("trade-once", "--force-slot")["orders"] == 0
    return shared_trader
