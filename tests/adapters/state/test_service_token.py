"""The token of a service: drawn once, and kept as a digest."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.kit.values import there
from tradebot.adapters.state.service_token import create_or_load, create_or_load_for, load_token
from tradebot.adapters.state.state_folder import MCP_TOKEN, WEB_TOKEN
from tradebot.errors import OperatorError

NOW = datetime(2026, 11, 16, 15, tzinfo=UTC)


def draw(folder: Path, name: str, now: datetime) -> str:
    token, stored = create_or_load(folder, name, now, new=True)
    assert stored == load_token(folder, name)
    return there(token)


def test_a_token_fits_until_another_is_drawn_and_only_its_digest_is_kept(tmp_path: Path) -> None:
    assert load_token(tmp_path, MCP_TOKEN) is None
    first = draw(tmp_path, MCP_TOKEN, NOW)
    stored = there(load_token(tmp_path, MCP_TOKEN))
    assert stored.at == NOW
    assert stored.fits(first)
    assert not stored.fits("")
    assert not stored.fits(stored.digest)
    assert not stored.fits("\udcff")
    assert first not in (tmp_path / MCP_TOKEN).read_text()
    second = draw(tmp_path, MCP_TOKEN, NOW)
    again = there(load_token(tmp_path, MCP_TOKEN))
    assert again.fits(second)
    assert not again.fits(first)


DIGESTS: tuple[object, ...] = ("1", "é", None, [])
OTHERS = [f'{{"digest": {json.dumps(digest)}, "at": "2026-11-16T15:00:00Z"}}' for digest in DIGESTS]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "aa", "at": "yesterday"}', "\xff", *OTHERS])
def test_what_was_not_written_like_this_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / MCP_TOKEN).write_bytes(text.encode("latin-1"))
    with pytest.raises(OperatorError, match=r"mcp\.token can't be read") as damaged:
        load_token(tmp_path, MCP_TOKEN)
    assert damaged.value.hint == "tradebot mcp --http PORT --new-token"


def test_several_folders_get_one_token_and_different_ones_are_replaced_only_on_request(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    first = draw(folders[1], WEB_TOKEN, NOW)
    token, stored = create_or_load_for(folders, WEB_TOKEN, NOW, new=False)
    assert (token, stored.fits(first)) == (None, True)
    assert [there(load_token(folder, WEB_TOKEN)) for folder in folders] == [stored] * 3
    draw(folders[2], WEB_TOKEN, NOW)
    with pytest.raises(OperatorError, match="these bots have 2 different tokens") as differ:
        create_or_load_for(folders, WEB_TOKEN, NOW, new=False)
    assert differ.value.hint.startswith("tradebot web --new-token")
    # A bot that can't be written keeps nobody from the others' pages.
    token, stored = create_or_load_for([tmp_path / "gone", *folders], WEB_TOKEN, NOW, new=True)
    assert stored.fits(there(token))
    assert [there(load_token(folder, WEB_TOKEN)) for folder in folders] == [stored] * 3
    with pytest.raises(OperatorError, match="can't be written"):
        create_or_load_for([tmp_path / "gone", tmp_path / "lost"], WEB_TOKEN, NOW, new=False)
