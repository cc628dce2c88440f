"""Keep which account a key opens: only answers of the history name it, and those are few in ten minutes."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import VENUE_ACCOUNT, write_durably

FILE = VENUE_ACCOUNT


class AccountNumber:
    """The number of the account that a key opens, in a file of the state folder if there is one.

    A key opens one account for as long as it exists, so the file names the key, by its digest. A file that can't be
    read or written costs a call.
    """

    def __init__(self, folder: Path | None, key: str) -> None:
        self._path = folder / FILE if folder else None
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._known = ""

    @property
    def cached_id(self) -> str:
        """Return it, empty if nobody has been told it yet."""
        if not self._known and self._path is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                told = json.loads(read_plain(self._path))
                self._known = str(told["number"]) if told["key"] == self._key else ""
        return self._known

    def keep(self, number: str) -> None:
        """Note what an answer has named."""
        if number == self.cached_id:
            return
        self._known = number
        if self._path is not None:
            with suppress(OSError):
                write_durably(self._path, json.dumps({"key": self._key, "number": number}))
