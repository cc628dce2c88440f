"""A pass at work when its process is asked to end sends nothing further, but ends what it is in the middle of."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.shared.asking import in_turn
from tradebot.adapters.state.turns import Turns
from tradebot.app.wiring import App
from tradebot.errors import TradebotError


@pytest.fixture
def app(tmp_path: Path) -> Any:
    (tmp_path / "state.id").write_text("{}")
    return SimpleNamespace(turns=Turns(tmp_path), pass_lock=lambda verb, **_: nullcontext())


def test_pass_that_gives_way_ends_at_its_next_request(app: Any) -> None:
    sent = list[str]()

    def work() -> None:
        for order in ("first", "second"):
            app.turns.give_way()
            with app.turns.undisturbed():
                app.turns.give_way()
                sent.append(order)
                app.turns.ends = lambda: True
                app.turns.give_way()

    with pytest.raises(TradebotError, match="trade-once was stopped by a signal before it was done"):
        in_turn(cast(App, app), "trade-once", work)
    assert sent == ["first"]


def test_pass_without_waiting_exits_continues(app: Any) -> None:
    app.turns.ends = lambda: True
    app.turns.give_way()
