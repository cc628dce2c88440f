"""The trading states of books in memory."""

from collections.abc import Collection, Sequence
from datetime import datetime

from tradebot.adapters.state.switch import newer_halt
from tradebot.model.reasons import Reason
from tradebot.model.trading import Override, TradingState, TradingStateRecord

BEGUN = TradingStateRecord(TradingState.ACTIVE, "init", "armed", None)
"""The state that books in memory begin in: there is no file that could halt them."""


class MemoryStates:
    """Whether the bot may open positions, who decided it, and since when."""

    def __init__(self) -> None:
        self._states: list[TradingStateRecord] = [BEGUN]

    def trading_state(self) -> TradingStateRecord:
        return self._states[-1]

    def set_trading_state(
        self,
        state: TradingState,
        who: str,
        why: str,
        at: datetime,
        *,
        causes: Collection[Reason] = (),
        override: Override | None = None,
        over: TradingStateRecord | None = None,
    ) -> None:
        before = self.trading_state()
        if over is not None and before != over:
            raise newer_halt()
        flattens = state is TradingState.REDUCE_ONLY and before.state is TradingState.FLATTEN
        kept = TradingState.FLATTEN if flattens else state
        self._states.append(TradingStateRecord(kept, who, why, at, frozenset(causes), override))

    def halts(self) -> Sequence[TradingStateRecord]:
        open_last = max(place for place, one in enumerate(self._states) if one.state is TradingState.ACTIVE)
        return tuple(self._states[open_last + 1 :])

    def trading_states(self) -> Sequence[TradingStateRecord]:
        """Return all states that were written, oldest first."""
        return tuple(self._states[1:])

    def armed(self) -> bool:
        # A halt disarms, and whoever ends it arms again.
        return self.trading_state().state is TradingState.ACTIVE
