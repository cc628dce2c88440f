"""How a command line has to end: with which code, and with which words."""

from tests.kit.bot.folder import Said


def refuses(said: Said, code: int, *words: str) -> None:
    """Require that a command line ended with this code and said these words on stderr."""
    assert said.code == code, f"{said.out}{said.err}"
    for each in words:
        assert each in said.err


def shows(said: Said, code: int, *words: str) -> None:
    """Require that a command line ended with this code and printed these words."""
    assert said.code == code, f"{said.out}{said.err}"
    for each in words:
        assert each in said.out
