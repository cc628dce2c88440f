"""Flow alerts: decisions read them whole, oldest first."""

from tests.builders import alert
from tradebot.signals.kinds.flow_alerts import KIND


def test_alerts_are_kept_whole_and_come_oldest_first() -> None:
    assert KIND.condense([KIND.lean(alert(number)) for number in (1, 3, 2)]) == (alert(3), alert(2), alert(1))
