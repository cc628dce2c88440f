"""The stores of a bot's folder. Everything is opened on first use, so quick verbs stay quick."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from tradebot.adapters.state import state_folder
from tradebot.adapters.state.state_folder import StateFolder
from tradebot.app.settings import Loaded, Settings

if TYPE_CHECKING:
    from tradebot.adapters.bars.stored import StoredBars
    from tradebot.adapters.facts.facts import SqliteFacts
    from tradebot.adapters.facts.kept_passes import KeptPasses
    from tradebot.adapters.flow.kept_replies import KeptReplies
    from tradebot.adapters.ledger.ledger import SqliteLedger
    from tradebot.adapters.state.approvals import SqliteApprovals
    from tradebot.adapters.state.events import JsonlEvents
    from tradebot.model.event import SystemEvent
    from tradebot.replaying.answering import Stored

Kept = TypeVar("Kept", "SqliteLedger", "SqliteFacts", "SqliteApprovals", "KeptReplies", "KeptPasses", "StoredBars")


class Stores:
    """The stores of one bot, which are opened once and closed together."""

    folder: StateFolder
    loaded: Loaded
    hear: Callable[[SystemEvent], None]
    stamp_time: Callable[[], datetime]
    _closing: ExitStack

    @property
    def settings(self) -> Settings:
        """Return the settings in force."""
        return self.loaded.settings

    @cached_property
    def replies(self) -> KeptReplies:
        """Return the kept replies of the flow source; their file is opened when it is needed."""
        from tradebot.adapters.flow.kept_replies import KeptReplies

        return self._kept(KeptReplies(self.folder.path, self.events, self.settings.unusual_whales.keep_raw_sessions))

    @cached_property
    def ledger(self) -> SqliteLedger:
        """Return the ledger, open for writing."""
        from tradebot.adapters.ledger.ledger import SqliteLedger

        return self._kept(SqliteLedger.open(self.folder.path, self.folder.account_number))

    @cached_property
    def ledger_view(self) -> SqliteLedger:
        """Return the ledger opened read-only, which changes nothing in the folder; raise if it is damaged."""
        from tradebot.adapters.ledger.ledger import SqliteLedger

        return self._kept(SqliteLedger.view(self.folder.path, self.folder.account_number))

    @cached_property
    def facts(self) -> SqliteFacts:
        """Return the store of facts and decisions, creating it if it is missing."""
        from tradebot.adapters.facts.facts import SqliteFacts

        return self._kept(SqliteFacts(self.folder.path, self.events, self.stamp_time()))

    @cached_property
    def passes(self) -> KeptPasses:
        """Return the records of passes; their file is opened when it is needed."""
        from tradebot.adapters.facts.kept_passes import KeptPasses

        return self._kept(KeptPasses(self.folder.path, self.events, self.settings.storage.replay_sessions))

    @cached_property
    def approvals(self) -> SqliteApprovals:
        """Return the store of what people were asked and answered, creating it if it is missing."""
        from tradebot.adapters.state.approvals import SqliteApprovals

        return self._kept(SqliteApprovals(self.folder.path, self.events, self.stamp_time()))

    @property
    def books(self) -> SqliteLedger:
        """Return the ledger for reading only, which needs no lock; if it is open for writing, that one."""
        return self.ledger if "ledger" in self.__dict__ else self.ledger_view

    @property
    def recorded(self) -> SqliteFacts | None:
        """Return the store of facts, or None if there is none yet: a verb that only looks must not create it."""
        return self.facts if (self.folder.path / state_folder.FACTS).exists() else None

    @cached_property
    def bars_at_rest(self) -> StoredBars | None:
        """Return the bars that are stored, of which nothing is fetched; None if none ever were."""
        from tradebot.app.bars import bars_at_rest

        found = bars_at_rest(self.folder.path, self.events, self.ledger_view.sessions, self.settings.day)
        return found and self._kept(found)

    @cached_property
    def stored(self) -> Stored | None:
        """Return what strategies may be asked on again about a past pass; None without facts, or without books."""
        from tradebot.replaying.answering import Stored

        facts = self.recorded
        return Stored(facts, self.bars_at_rest, self.ledger_view) if facts else None

    @cached_property
    def events(self) -> JsonlEvents:
        """Return the log of operational events."""
        from tradebot.adapters.state.events import JsonlEvents

        kept = self.settings.storage
        return JsonlEvents(self.folder.path / state_folder.EVENTS, kept.events_mb * 10**6, kept.events_files, self.hear)

    def _kept(self, store: Kept) -> Kept:
        """Return a store that is closed with this bot."""
        self._closing.callback(store.close)
        return store
