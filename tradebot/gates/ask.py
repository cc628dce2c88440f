"""Define what gates get as input, in the three scopes in which they are declared: the account, a strategy, a
candidate.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from functools import cached_property

from msgspec import Struct, field

from tradebot.gates.gate_declarations import GateScope
from tradebot.gates.sizing import Size
from tradebot.model.bar import Quote
from tradebot.model.candidate import Candidate
from tradebot.model.costs import Costs
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, RiskBook, SessionEntry
from tradebot.model.limits import HaltRules, Limits, StrategyRules
from tradebot.model.reasons import Reason
from tradebot.model.record import SymbolFacts


class AccountAsk(Struct, frozen=True, dict=True):
    """The inputs of a gate on the account, the same for every candidate."""

    desk: Desk
    book: RiskBook
    limits: Limits
    halts: HaltRules
    recorded_ids: Mapping[str, Collection[str]] = field(default_factory=dict)
    """The ids of orders that were recorded earlier, by symbol."""

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        return tuple(ACCOUNT.answers(self))

    @cached_property
    def _strategies(self) -> dict[str, tuple[RiskBook, tuple[Decision, ...]]]:
        # This isn't the strategy's ask, because that refers to this object, and a reference cycle stays in memory until
        # it is collected.
        return {}

    def of(self, strategy: str, rules: StrategyRules) -> "StrategyAsk":
        """Return the inputs of gates on one strategy; its book is computed only once."""
        exposure = self._strategies.get(strategy)
        if exposure is not None:
            return StrategyAsk(strategy, self, exposure[0], rules.limits, exposure[1])
        equity = rules.allotment_fraction * self.book.equity
        strategy_ask = StrategyAsk(strategy, self, self.book.own(strategy, equity, self.desk.sectors), rules.limits)
        self._strategies[strategy] = strategy_ask.book, strategy_ask.decisions
        return strategy_ask


class StrategyAsk(Struct, frozen=True, dict=True):
    """The inputs of a gate on one strategy: its own book and limits, and earlier decisions."""

    name: str
    account: AccountAsk
    book: RiskBook
    limits: Limits
    decided: tuple[Decision, ...] = ()

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        if self.decided:
            return self.decided
        return tuple(STRATEGY.answers(self))


class EntryPlan(Struct, frozen=True):
    """What an entry is expected to lose at its stop, gain at its targets, and cost, as fractions of its price.

    `stop` is None if there is no stop. `targets` are sorted, nearest first. `costs` are None if no costs are assumed.
    """

    stop: Decimal | None
    targets: tuple[Decimal, ...]
    costs: Costs | None


class Ask(Struct, frozen=True, dict=True):
    """The inputs of a gate on a candidate; `quote` and `size` are None if the venue gave no usable quote.

    `plan` is None in that case too, or if no limit on costs is set.
    """

    strategy: StrategyAsk
    candidate: Candidate
    quote: Quote | None
    size: Size | None
    is_recorded: bool
    plan: EntryPlan | None = None

    @property
    def account(self) -> AccountAsk:
        return self.strategy.account

    @property
    def desk(self) -> Desk:
        return self.strategy.account.desk

    @property
    def book(self) -> RiskBook:
        """Return the account's book, including the orders that this pass has already sent."""
        return self.strategy.account.book

    @property
    def limits(self) -> Limits:
        return self.strategy.limits

    @property
    def facts(self) -> SymbolFacts:
        """Return the symbol's facts; they are empty if nothing was fetched."""
        return self.desk.facts.get(self.candidate.symbol) or SymbolFacts(self.candidate.symbol)

    @property
    def sector(self) -> str | None:
        return self.desk.sectors.get(self.candidate.symbol)

    @cached_property
    def _after(self) -> dict[int, RiskBook | None]:
        return {}

    def after(self, book: RiskBook) -> RiskBook | None:
        """Return the book as it would be with this entry added at its worst price; None without a price."""
        if id(book) not in self._after:
            self._after[id(book)] = self._with_entry(book)
        return self._after[id(book)]

    def _with_entry(self, book: RiskBook) -> RiskBook | None:
        size, candidate = self.size, self.candidate
        if size is None:
            return None
        entered = SessionEntry(candidate.strategy, candidate.symbol, candidate.side, self.desk.now)
        worst = (size.notional_usd, self.sector or "", size.quantity, size.limit_price, size.risk_usd)
        return book.with_entry(entered, *worst)


def decisions(ask: Ask) -> list[Decision]:
    """Return the decisions of all gates about a candidate, leaving out gates that make none."""
    return [*ask.account.decisions, *ask.strategy.decisions, *CANDIDATE.answers(ask)]


def fail_unpriced(gate: Gate, limit: Decimal | None = None) -> Decision:
    """Return UNKNOWN for a gate that can't decide without a price."""
    return Decision(gate, Verdict.UNKNOWN, Reason.QUOTE_MISSING, None, limit)


ACCOUNT = GateScope[AccountAsk]()
"""Gates that evaluate the account, whatever the candidate."""
STRATEGY = GateScope[StrategyAsk]()
"""Gates that evaluate a strategy by its limits, its own book and the account, once for all of its candidates."""
CANDIDATE = GateScope[Ask]()
"""Gates that evaluate a candidate, with its quote and size."""
