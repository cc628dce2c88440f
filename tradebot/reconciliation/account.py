"""The account of these books is the only one that they are ever compared with."""

from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import Account
from tradebot.ports.stores import Ledger


def require_account(ledger: Ledger, account: Account) -> None:
    """Raise where the broker answers with another account than the one whose books these are."""
    if account.number != ledger.account_number:
        raise OperatorError(
            f"the broker answers for account …{account.tail}, these books belong to …{ledger.account_number[-4:]}: "
            "it was begun anew, or the keys are another's",
            "use the keys of that account, or begin new books: tradebot init --state-dir NEW; these stay readable",
            code=ExitCode.REFUSED,
        )
