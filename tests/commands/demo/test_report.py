"""What the demo's report counts, whatever a strategy says."""

from types import SimpleNamespace
from typing import Any

from commands.demo.report import _exits
from tests.builders import SESSION
from tests.desk.test_proposals import Answering, holding_microsoft, world
from tests.worlds import call, trade_once
from tradebot.model.view import Close, Needs


def test_a_strategys_own_words_are_a_reason_like_any_other() -> None:
    scene, _ = holding_microsoft()
    asked = Answering([Close("MSFT", " the month is over\n")], needs=Needs(lots=True))
    trade_once(world(scene, asked), call(slot="open+31m"))
    sale = scene.venue.submitted[-1]
    assert sale.why == "the month is over", "without the white space around it"
    scene.venue.fill(sale.client_order_id, "100.05")
    scene.later(60)
    trade_once(world(scene), call(slot="open+32m"))
    app: Any = SimpleNamespace(ledger=scene.ledger, ledger_view=scene.ledger)
    assert _exits(app, SESSION) == {"the month is over": 1}
