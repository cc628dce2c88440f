"""The lines about margin on the screens: figures, and the positions that are nearest to liquidation."""

import io
from decimal import Decimal

from rich.console import Console

from commands.shared.number_format import show_margin
from tests.kit.values import NOW
from tradebot.model.margin import Liquidation
from tradebot.model.struct_tools import replace
from tradebot.views.holdings import AccountMargin

D = Decimal
NEAR, FAR = (
    Liquidation("PF_XBTUSD", D("0.10213"), D("26936.03"), D(30_000)),
    Liquidation("PF_ETHUSD", D("0.5"), D("1500")),
)
PAID = Liquidation("PF_SOLUSD", D(1), None)
MARGIN = AccountMargin(NOW, D(900), D("0.18"), D(450), D("0.09"), D("4100.5"), (NEAR, FAR, PAID))


def shown(margin: AccountMargin | None, most: int | None = None) -> list[str]:
    out = io.StringIO()
    show_margin(Console(file=out, width=200), margin, most)
    return out.getvalue().splitlines()


def test_the_margin_is_shown_with_every_liquidation() -> None:
    first, second = shown(MARGIN)
    assert first == (
        "Margin 900.00 USD (18.00% of equity) in use, 450.00 USD (9.00% of equity) to keep the positions, "
        "4,100.50 USD available, at 2026-11-16 10:00:00 ET"
    )
    assert second == (
        "  liquidated by the broker: PF_XBTUSD at 26,936.03, 10.21% away (mark 30,000.00); "
        "PF_ETHUSD at 1,500.00, 50.00% away; "
        "PF_SOLUSD has no liquidation price of its own"
    )


def test_a_screen_may_show_the_nearest_alone() -> None:
    assert shown(MARGIN, 1)[1:] == ["  liquidated by the broker: PF_XBTUSD at 26,936.03, 10.21% away (mark 30,000.00)"]


def test_what_the_broker_did_not_tell_is_unknown() -> None:
    silent = replace(MARGIN, maintenance_usd=None, maintenance_fraction=None, available_usd=None, liquidations=())
    (line,) = shown(silent)
    assert "unknown to keep the positions, unknown available" in line
