"""Hypothesis strategies for the words: finite money, aware UTC times, finite scores."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import strategies as st

from tradebot.model.intent import Intent
from tradebot.model.position import OwnedFill

MONEY = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001

st.register_type_strategy(Decimal, MONEY)
st.register_type_strategy(datetime, TIMES)
st.register_type_strategy(float, st.floats(allow_nan=False, allow_infinity=False))

INTENTS = st.from_type(Intent)
OWNED_FILLS = st.from_type(OwnedFill)
