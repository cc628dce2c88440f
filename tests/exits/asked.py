"""One exit rule, asked about a position of which something besides the price is known."""

from decimal import Decimal
from typing import Any

from tests.kit.values import NOW, SESSION, held
from tradebot.exits.kind import ExitRule, Held, Measure, Moment
from tradebot.exits.rules import judge
from tradebot.model.decision import Decision
from tradebot.model.position import Outlook
from tradebot.model.values import replace


def known(quantity: int = 10, age_s: float = 600, **outlook: object) -> Held:
    """Return a position bought, or sold short, at 100 USD, with this outlook."""
    return replace(held(str(quantity), age_s=age_s), outlook=replace(Outlook(), **outlook))  # type: ignore[arg-type]


def closes(rule: ExitRule, of: Held, price: str = "100") -> bool:
    """Return whether a rule closes a position now, at this price; the rule must be able to tell."""
    answer = rule.judge(of, Moment(NOW, Decimal(price), SESSION))
    assert isinstance(answer, Measure), answer
    return answer.closes


def evaluate(*given: Any, **named: Any) -> Decision:
    """Return the decision of all rules, without what they close."""
    return judge(*given, **named).decision
