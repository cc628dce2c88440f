"""A bot of a learned policy in shadow, which no exchange has to play: what counts of it is set."""

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml

from tests.kit.bot.folder import Bot
from tests.kit.bot.state import CASH, accept, make_state
from tests.kit.fakes.networks import Signed, constant
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.state.evidence import SHADOW
from tradebot.app.learned_settings import put_learned
from tradebot.app.loading import Options
from tradebot.app.shadow_strategies import values_of
from tradebot.app.wiring import open_app
from tradebot.learning.model_card import DataSpan
from tradebot.model.promotion import Rung

AT = datetime(2026, 9, 1, 12, tzinfo=UTC)
OFF = dict.fromkeys(("trades", "costs_times", "sharpe_gain", "drawdown_worse"))
NO_POLICY = dict.fromkeys((
    "sessions", "trades", "seeds", "seeds_positive", "left_above", "drawdown", "deflated_sharpe", "sharpe_low", "spa_p",
))  # fmt: skip
TIMETABLE = {"shadow": {"verb": "shadow", "when": "every 5m from open+3m until close", "late": "skip", "limit": "4m"}}


class LearningBot(Bot):
    """A bot with a policy in shadow, whose model's training ended on a day; both kinds of books show what is set."""

    def __init__(self, place: Path, capture: Any, trained: date, shadow: object = True, **rules: object) -> None:
        super().__init__(place / "bot", capture)
        self.signed = Signed(place)
        self.model = self.write_model(trained)
        step = {"sessions": 20, **OFF}
        own = {"mode": "training", "shadow": shadow, "allotment_fraction": 1, "universe": ["AAPL"], "exits": []}
        settings = {
            "universe": ["AAPL"],
            "strategies": {"flow": None, "policy": {**self.signed.settings(), **own}},
            "promotion": {"shadow": step, "paper": {**step, "policy": NO_POLICY}, **rules},
            "timetable": TIMETABLE,
        }
        make_state(self.folder, "SBX1", AT, yaml.safe_dump(settings))
        self.put(mode="inference", models=[self.model])
        self.follow()

    def write_model(self, trained: date) -> str:
        span = DataSpan("MES 5Min", date(2026, 1, 2), trained, "0" * 64)
        return self.signed.write(constant([0.75], ("rsi_14", "body"), data=(span,)))

    def put(self, **values: object) -> None:
        with open_app(Options(str(self.folder)), {}) as app:
            put_learned(app, "policy", values)

    def configure(self, former: str, wanted: str) -> None:
        """Replace words of the user's own configuration."""
        file = self.folder / "tradebot.yaml"
        assert former in file.read_text(), former
        file.write_text(file.read_text().replace(former, wanted))

    def follow(self) -> None:
        """Let its shadow have the bot's present values, as `tradebot shadow` does."""
        path = self.folder / "shadow" / "policy"
        with open_app(Options(str(self.folder)), {}) as app:
            values = values_of(app, "policy")
        if not path.exists():
            state_folder.create(path, "sandbox", "SHADOW-policy", SHADOW, AT, "alpaca")
            with closing(SqliteLedger.create(path, "SHADOW-policy", AT)) as ledger:
                ledger.open_books(CASH, AT)
            halt_switch.arm(path, "test", AT)
        (path / "tradebot.yaml").write_text(yaml.safe_dump(values))
        accept(path, AT)

    def in_force(self) -> Mapping[str, Any]:
        """Return what counts of the policy's section, and whether entries of the bot are let through."""
        with open_app(Options(str(self.folder)), {}) as app:
            section = app.loaded.effective["strategies"]["policy"]
            blocked = [difference.name for difference in app.permission_inputs.differences or () if difference.looser]
            waits = app.permission.awaiting_promotion.get("policy")
        if waits is not None:
            blocked.append(str(waits.reason))
        return {name: section[name] for name in ("mode", "models", "shadow")} | {"blocked": blocked}

    def rungs(self) -> list[Rung]:
        with closing(SqliteLedger.view(self.folder, "SBX1")) as ledger:
            return [promotion.rung for promotion in ledger.promotions.every()]
