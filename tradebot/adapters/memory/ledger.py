"""The money records of one account in memory: what a backtest writes to, and the tests of the core."""

from tradebot.adapters.memory.money import Money
from tradebot.adapters.memory.passes import Passes
from tradebot.model.books import Standing


class MemoryLedger(Money, Passes):
    """A ledger without a file; armed and ACTIVE from the start.

    What a pass asks is answered from indexes that each write keeps up, so that it takes as long after 20 years as on
    the first day. Nothing here is durable: `saving` writes a finished run as an ordinary state folder.
    """

    def __init__(self, account_number: str) -> None:
        super().__init__()
        self._account_number = account_number

    @property
    def account_number(self) -> str:
        """Return the number of the account that these books belong to."""
        return self._account_number

    def standing(self) -> Standing:
        """Return the opening balance, accepted cash movements, the last reconcile and the highest equity."""
        cash, opened_at = self._opening or (None, None)
        return Standing(opened_at, cash, self._adjusted, self._mark, self._peak)
