"""The verbs that control the exchange, where the kernel does not tell whose request one is: with its token, or not."""

import fcntl
import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exchange.tests.kit.served import Served, served
from papervenue import process
from papervenue.faces import guard
from papervenue.market.spec import MarketError
from papervenue.private_files import TOKEN_FILE, issue
from papervenue.state import LOCK_FILE, PORT_FILE
from tests.kit.bot.folder import Bot, made

VERBS = (
    "exchange tick 5m",
    "exchange tick close",
    "exchange faults add lost-reply",
    "exchange faults clear",
)


@contextmanager
def blind(folder: Path) -> Iterator[tuple[Served, Callable[[], None]]]:
    """Serve a folder where no kernel tells anything; yield it, and how to let it be taken for one that has ended."""
    with (folder / LOCK_FILE).open("a") as lock, pytest.MonkeyPatch.context() as patch:
        fcntl.flock(lock, fcntl.LOCK_EX)
        patch.setattr(guard, "_CONNECTIONS", (folder / "no such table",))
        with served(folder, token=issue(folder)) as place:
            (folder / PORT_FILE).write_text(json.dumps({"url": place.url, "pid": os.getpid(), "instance": "test"}))
            yield place, lambda: fcntl.flock(lock, fcntl.LOCK_UN)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with made(tmp_path_factory.mktemp("token") / "bot") as folder:
        process.stop(folder / "exchange")
        yield folder


def test_every_verb_shows_the_token_and_without_it_none_changes_anything(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bot, exchange = Bot(folder, capsys), folder / "exchange"
    with blind(exchange) as (_, end):
        token = (exchange / TOKEN_FILE).read_text()
        for away in ((exchange / TOKEN_FILE).unlink, lambda: (exchange / TOKEN_FILE).write_text("0" * 64)):
            away()
            before = (exchange / "log.jsonl").read_bytes()
            for verb in VERBS:
                said = bot.says(*verb.split())
                assert (said.code, f"send the content of {TOKEN_FILE}" in said.err) == (2, True), (verb, said)
            assert (exchange / "log.jsonl").read_bytes() == before
            assert bot.says("exchange", "status").code == 0, "who only looks needs none"
        (exchange / TOKEN_FILE).write_text(token)
        for verb in VERBS:
            said = bot.says(*verb.split())
            assert said.code == 0, (verb, said)
            assert token not in said.out + said.err
        assert token.encode() not in (exchange / "log.jsonl").read_bytes()
        end()


def test_it_is_stopped_with_the_token_and_refuses_to_without(folder: Path) -> None:
    asked, exchange = list[int](), folder / "exchange"
    with blind(exchange) as (_, end):

        def told(number: int, frame: object) -> None:
            asked.append(number)
            end()

        token, before = (exchange / TOKEN_FILE).read_text(), signal.signal(signal.SIGTERM, told)
        try:
            (exchange / TOKEN_FILE).unlink()
            with pytest.raises(MarketError, match=f"send the content of {TOKEN_FILE}"):
                process.stop(exchange)
            assert asked == []
            (exchange / TOKEN_FILE).write_text(token)
            process.stop(exchange)
        finally:
            signal.signal(signal.SIGTERM, before)
    assert asked == [signal.SIGTERM]


def test_an_exchange_without_a_bot_is_controlled_with_its_token_too(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "exchange").symlink_to(folder / "exchange")
    other, verbs = Bot(tmp_path / "alone", capsys), ("tick 60s", "reset main --confirm main")
    with blind(folder / "exchange") as (_, end):
        assert [other.says("exchange", *verb.split()).code for verb in verbs] == [0, 0]
        (folder / "exchange" / TOKEN_FILE).unlink()
        assert [other.says("exchange", *verb.split()).code for verb in verbs] == [2, 2]
        end()
