"""Check that the broker answers for the account these books belong to."""

from tradebot.errors import ExitCode, OperatorError
from tradebot.model.account import Account
from tradebot.ports.stores import Ledger


def require_account(ledger: Ledger, account: Account) -> None:
    """Raise OperatorError if the broker answers for a different account than the one these books belong to."""
    if account.number != ledger.account_number:
        raise OperatorError(
            f"the broker answers for account …{account.tail}, but these books belong to "
            f"…{ledger.account_number[-4:]}: the account was reset, or these keys belong to a different account",
            "use the keys of that account, or start new books (these stay readable): tradebot init --state-dir NEW",
            code=ExitCode.REFUSED,
        )
