"""Flow of the exchange's generator is found to predict if it was given an edge, and never if it wasn't.

The score here is the net premium of the last half hour's alerts, so that nothing of ours but the measuring is judged.
"""

from array import array
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

import hypothesis
import pytest

from tests.auditing.panels import judged as judged_at
from tests.bot import EASY, Bot, made
from tests.accepting import accept
from tradebot.auditing.forward_returns import SessionReturns
from tradebot.auditing.intervals import LEVEL
from tradebot.auditing.outcomes import StrategyOutcomes, Tally
from tradebot.exchange.flow.alerts import Flow
from tradebot.exchange.market.bars import UNITS, Market
from tradebot.exchange.market.generator import GeneratedBars
from tradebot.exchange.market.sessions import build_calendar
from tradebot.model.bar import Session
from tradebot.model.candidate import Side
from tradebot.model.record import Judged
from tradebot.model.series import Series
