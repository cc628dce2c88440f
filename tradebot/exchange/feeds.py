"""Choose the flow feed of an exchange: captured responses if its market has them, else derived flow."""

from __future__ import annotations

from pathlib import Path

from tradebot.exchange.exchange import Exchange
from tradebot.exchange.faces.flow import FlowSource
from tradebot.exchange.flow.captured import CapturedFlow
from tradebot.exchange.flow.derived import DerivedFlow
from tradebot.exchange.state import CAPTURES_FOLDER


def flow_source(exchange: Exchange, state_dir: Path) -> FlowSource:
    """Return the feed of an exchange; raise MarketError if its captures are damaged."""
    spec = exchange.stored.spec
    if spec.uw_folder is not None:
        return CapturedFlow(state_dir / CAPTURES_FOLDER)
    return DerivedFlow(exchange.market, spec.seed, spec.edge)
