"""Folders of finished backtests: ordinary books to read, without a venue to trade at."""

from tradebot.adapters.state.state_folder import StateFolder, option
from tradebot.errors import OperatorError

BACKTEST = "backtest"
"""The kind of such a folder."""


def trading(folder: StateFolder) -> StateFolder:
    """Return the folder of a bot that can trade; raise OperatorError if it holds a finished backtest."""
    if folder.kind != BACKTEST:
        return folder
    raise OperatorError(
        f"{folder.path} holds a finished backtest: it can be read, but nothing trades in it",
        f"tradebot report {option(folder.path)}; to trade: tradebot init --state-dir NEW",
    )
