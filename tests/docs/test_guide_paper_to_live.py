"""docs/guides/paper-to-live.md is true, by the log of the embedded exchange that stands in the live account's place.

Requests for Alpaca's hosts are turned round to loopback below the client library, and refused for any other host.
"""

import re
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from tests.docs.following import NOTHING, follow
from tests.kit.bot.folder import Bot, Said, made, second_session, typed
from tests.kit.bot.real_money import KEYS, at_a_terminal, bent_to, environment, made_in_its_time, real_folder, writes

pytestmark = pytest.mark.campaign(follows="docs/guides/paper-to-live.md")
READY = {
    "TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER": "1",
    "TRADEBOT_STRATEGIES__FLOW__LOOKBACK_S": "7200",
    "TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_SCORE": "0.05",
    "TRADEBOT_STRATEGIES__FLOW__LIMITS__MIN_COVERAGE": "0.3",
    "TRADEBOT_UNUSUAL_WHALES__CALLS_PER_MINUTE": "12000",
}
"""Settings under which some symbol trades at once, and for which the flow source isn't waited for."""


class Person:
    """Whoever types the end of the account number at a terminal, and what had been sent to the broker by then."""

    def __init__(self, live: Bot, sandbox: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.live, self.sandbox, self.sent = live, sandbox, dict[str, int]()
        self._capsys = capsys

    def types(self, sentence: str, command: str) -> Said:
        with at_a_terminal(sentence):
            return typed(self._capsys, *command.split()[1:])

    def confirms(self, command: str) -> Said:
        self.sent[command] = len(writes(self.sandbox))
        with at_a_terminal(self.live.tail()):
            return typed(self._capsys, *command.split()[1:])


def test_nothing_is_sent_before_a_person_arms_it_and_the_first_day_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    keys = tmp_path / ".env"
    keys.touch(mode=0o600)
    keys.write_text("".join(f"{name}={text}\n" for name, text in KEYS.items()))
    live = Bot(tmp_path / "live", capsys)
    with (
        made(tmp_path / "sandbox", "--sessions", "3") as folder,
        environment({**READY, "TRADEBOT_UNUSUAL_WHALES__URL": Bot(folder, capsys).url}),
    ):
        sandbox = Bot(folder, capsys)
        second_session(sandbox)
        real_folder(folder, tmp_path / "paper", "paper")
        person = Person(live, folder, capsys)

        def named(command: str) -> Said:
            monkeypatch.setenv("TRADEBOT_LIVE", live.tail())
            return NOTHING

        def a_minute_passes(command: str) -> Said:
            said = typed(capsys, *command.split()[1:])
            assert sandbox.says("exchange", "tick", "1m").code == 0
            return said

        asked = ("tradebot live arm", "tradebot unhalt", "tradebot config accept")
        instead: dict[str, Callable[[str], Said]] = {
            "export TRADEBOT_LIVE=…": named,
            **dict.fromkeys(("tradebot fetch-flow", "tradebot evaluate-exits"), a_minute_passes),
            "tradebot trade-once": a_minute_passes,
            **dict.fromkeys(asked, person.confirms),
            "tradebot promote flow --to live": partial(person.types, "flow trades live without evidence"),
        }
        with bent_to(sandbox.url) as turned, made_in_its_time(sandbox.url):
            said = follow("paper-to-live", capsys, instead)
        sent = writes(folder)
    assert turned
    assert person.sent["tradebot live arm --sessions 1"] == 0, "something was sent before it was armed"
    assert {method for method, _ in sent} == {"POST"}
    assert person.sent["tradebot config accept"] == len(sent) >= 1
    (sold,) = re.findall(r"sold for ([\d.]+) USD", said["tradebot fills"].out)
    assert 0 < Decimal(sold) <= 500
