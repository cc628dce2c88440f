"""Every notice of a week of the shipped bot, read as a person reads it who can't look the rest up."""

from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, made
from tests.kit.fakes.machine import flaws
from tests.kit.fakes.receivers import receiving

SETTINGS = """
notify: {channels: {phone: {most_an_hour: 1000}}}
timetable: {fetch-flow: every 14m from open+2m until close, evaluate-exits: every 15m from open+1m until close,
            trade-once: every 30m from open+7m until close, reconcile: every 40m from open+1m until close,
            score: every 60m from open+5m until close}
"""
"""As few passes as load, so that a week doesn't take long."""


@pytest.mark.campaign
def test_each_notice_of_a_week_is_in_whole_sentences_without_codes_or_empty_fields(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with receiving() as receiver, made(tmp_path / "state", "--sessions", "5", settings=SETTINGS) as folder:
        monkeypatch.setenv("NOTIFY_PHONE", f"http://{receiver.address}/hook")
        bot = Bot(folder, capsys)
        bot.says("notify", "send")
        assert bot.says("serve", "--speed", "1000000").code == 0
        bot.says("halt", "--reason", "to see its notice")
        bot.says("notify", "send")
        notices = bot.json("notify", "last", "--last", "1000")["notices"]
    texts = [row["text"].replace(str(folder), "STATE") for row in notices]
    assert [flaw for row, text in zip(notices, texts, strict=True) for flaw in flaws(row["title"]) + flaws(text)] == []
    assert len(texts) > 20
    for said in ("bought", "closed with", "so far", "HALTED"):
        assert any(said in text for text in texts), said
