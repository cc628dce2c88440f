"""What the books keep of positions that gave way to others."""

from decimal import Decimal
from pathlib import Path

from tests.kit.rows import ACCOUNT, NOW, make_intent
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.model.candidate import Purpose
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.intent import IntentState
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trade import DisplacedClose

WHY = Decision(Gate.EXIT, Verdict.PASS, Reason.DISPLACED, Decimal("0.88"), Decimal("0.58"), about="worth 0.48")


def test_orders_by_which_positions_gave_way_come_back_with_what_decided_them(tmp_path: Path) -> None:
    ledger = SqliteLedger.create(tmp_path, ACCOUNT, NOW)
    entry = make_intent()
    close = replace(make_intent("open+9m"), purpose=Purpose.CLOSE, displaced_by="XOM", why="displaced_by_XOM")
    ledger.record_intent(entry, (WHY,))
    assert ledger.past.gave_way() == ()
    ledger.record_intent(close, (WHY,))
    assert ledger.past.gave_way() == (DisplacedClose(close, IntentState.SENT, (WHY,)),)
    ledger.close()
