"""Map outdated names in records to current ones.

A record of a pass contains the names of classes, of their fields, and of the ports' methods. So each renaming needs a
row here, and the row stays as long as records with the old name may exist. The name of a class includes its module's
name.
"""

from collections.abc import Mapping

FORMER: Mapping[str, str] = {
    "discovery.Discovery": "registry.Discovery",
    "discovery.Found": "registry.DiscoveredContract",
    "shock.Shock": "desk.Shock",
    "shock.Shocks": "desk.Shocks",
    "desk.PositionDifference": "record.PositionDifference",
    "own_slots.Plan": "strategy_slots.SlotPlan",
    "own_slots.SlotPlan": "strategy_slots.SlotPlan",
    "hours.Hours": "instrument.Hours",
    "trading_hours.Hours": "instrument.Hours",
    "kind.CheckedReply": "fact_kind.CheckedReply",
    "kind.ContractFinding": "fact_kind.ContractFinding",
    "kind.Drift": "fact_kind.Drift",
    "kind.Fact": "fact_kind.Fact",
    "resting.Resting": "resting_orders.Resting",
    "activity.Activity": "account.Activity",
    "activity.Booking": "account.Booking",
    "activity.Corrects": "account.Corrects",
    "activity.Entry": "account.Entry",
    "activity.Restated": "account.RestatedPosition",
    "account.Restated": "account.RestatedPosition",
    "account.Worth": "account.AccountValue",
    "bar.Waiting": "bar.WaitingStrategy",
    "books.Standing": "books.AccountState",
    "desk.Book": "desk.RiskBook",
    "desk.Entered": "desk.SessionEntry",
    "desk.OwnOrder": "desk.StrategyOrder",
    "desk.Span": "desk.ExposureRange",
    "desk.Stake": "desk.StrategyExposure",
    "limits.OwnRules": "limits.StrategyRules",
    "record.Mark": "record.ExitPrice",
    "shocks.Moves": "shocks.RecentShocks",
    "desk.Desk.known_s": "decision_started_s",
    "ledger.fills_with_others": "ledger.foreign_and_moved_fills",
    "ledger.keep_totals": "ledger.checkpoint_totals",
    "ledger.kept": "ledger.entry_terms",
    "ledger.promise": "ledger.record_intent",
    "ledger.promised": "ledger.recorded_intents",
    "ledger.settle": "ledger.record_outcome",
    "ledger.standing": "ledger.account_state",
    "books.Books.promised": "intents_by_id",
    "margin.Reach": "margin.PositionReach",
    "order.OrdersTold": "order.OrdersReported",
    "passes.ByHand": "passes.ManualClose",
    "passes.Given": "passes.CycleInputs",
    "position.Kept": "position.EntryTerms",
    "position.Outlook": "position.ExitInputs",
    "registry.Found": "registry.DiscoveredContract",
    "trading.Climbed": "trading.RungReached",
}
"""The current name by the former one: `module.Class`, `port.method`, or `module.Class.field`.

A field has its class's current name; its new name is empty if there is no successor.
"""


def name_now(former: str) -> str:
    """Return the current name of a recorded class or port method."""
    return FORMER.get(former, former)


def field_now(kind: str, former: str) -> str:
    """Return the current name of a recorded field; empty if it no longer exists."""
    return FORMER.get(f"{kind}.{former}", former)
