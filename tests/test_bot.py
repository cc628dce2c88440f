"""A bot that nothing was done on is brought to its second session once for all tests; any other one itself."""

from pathlib import Path

import pytest

from tests.bot import Bot, log, made, second_session


def test_only_bots_as_they_were_made_become_copies_of_one_that_was_brought_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {}
    for name in ("first", "new", "named"):
        with made(tmp_path / name) as folder:
            bot = Bot(folder, capsys)
            if name == "named":
                (folder / "tradebot.yaml").write_text((folder / "tradebot.yaml").read_text() + "# mine\n")
            second_session(bot)
            text = (folder / "tradebot.yaml").read_text()
            ends[name] = bot.json("status")["as_of"], "# mine" in text, [event["at"] for event in log(bot.url)][:9]
    assert ends["new"] == ends["first"]
    assert ends["named"][:2] == (ends["first"][0], True)
