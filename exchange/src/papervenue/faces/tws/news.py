"""Serve the headlines of a contract: those about it, and those about the market as a whole."""

from __future__ import annotations

from collections.abc import Iterator

from papervenue.chance import number_of
from papervenue.faces.tws.order_messages import error
from papervenue.faces.tws.wire import TwsMessage
from papervenue.flow.derived import SOURCES, Headlines
from papervenue.flow.series import feed_ticker
from papervenue.times import parse_time, to_datetime

_PROVIDERS, _HEADLINE, _HEADLINES_END = 85, 86, 87
_NOT_ALLOWED = 10276
"""The error for a provider that the account has no subscription to."""
MOST = 300
"""The most headlines that one request can ask for."""
CODES = {"".join(word[0] for word in name.split()): name for name in SOURCES}
"""The providers' names by their codes."""


def providers() -> TwsMessage:
    """Return the news providers that the account may read."""
    return TwsMessage(_PROVIDERS, {"count": len(CODES), "providers": [*CODES.items()]})


def historical(headlines: Headlines, fields: list[str], symbol: str, now_us: int) -> Iterator[TwsMessage]:
    """Yield a contract's headlines of a period, newest first, and then whether there are more.

    The period excludes its start and includes its end. The fields are the request's, in wire order. Raise ValueError
    for a field that can't be read.
    """
    request, codes, most = fields[1], fields[3].split("+"), int(fields[6])
    if not set(codes) <= CODES.keys():
        yield error(request, _NOT_ALLOWED, "News feed is not allowed.")
        return
    if not 1 <= most <= MOST:
        raise ValueError("totalResults is not from 1 to 300")
    after_us, until_us = (parse_time(text) if text else None for text in fields[4:6])
    names, ticker = {CODES[code]: code for code in codes}, feed_ticker(symbol)
    rows = [
        row
        for row in headlines.rows_until(now_us)
        if row.fields["source"] in names
        and row.fields["tickers"] in ([], [ticker])
        and (after_us is None or row.at_us > after_us)
        and (until_us is None or row.at_us <= until_us)
    ]
    for row in rows[:most]:
        code = names[row.fields["source"]]
        published, headline = f"{to_datetime(row.at_us):%Y-%m-%d %H:%M:%S.0}", row.fields["headline"]
        article = f"{code}${number_of(8, 'article', row.at_us, headline)}"
        values = {"time": published, "providerCode": code, "articleId": article, "headline": headline}
        yield TwsMessage(_HEADLINE, {"reqId": request, **values})
    yield TwsMessage(_HEADLINES_END, {"reqId": request, "hasMore": len(rows) > most})
