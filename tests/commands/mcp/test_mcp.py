"""`tradebot mcp` on the command line."""

from unittest.mock import patch

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tradebot.adapters.text.extras import install


def test_without_the_extra_it_says_what_to_install(copy: Bot) -> None:
    with patch("commands.mcp.find_spec", return_value=None):
        said = copy.says("mcp")
    assert (said.code, said.out) == (2, "")
    assert "needs the extra mcp" in said.err
    assert f"next: {install('mcp')}" in said.err


def test_options_of_http_need_it_and_its_state(copy: Bot) -> None:
    for option in ("--new-token", "--json"):
        assert copy.says("mcp", option).code == 2
    copy.folder = copy.folder / "nowhere"
    refuses(copy.says("mcp", "--http", "0"), 2, "There is no state")


def test_a_token_that_was_damaged_has_to_be_made_again(copy: Bot) -> None:
    (copy.folder / "mcp.token").write_text("nonsense")
    refuses(copy.says("mcp", "--http", "0"), 2, "tradebot mcp --http PORT --new-token")
