"""Read the headlines of contracts from the news services that the account may use.

Times are UTC. See https://interactivebrokers.github.io/tws-api/news.html.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from tradebot.errors import NotInPlanError, TemporaryError
from tradebot.venues.ibkr.capabilities import IBKR
from tradebot.venues.ibkr.contracts import months_of, root_of, symbol_of
from tradebot.venues.ibkr.link import IbkrConnection, IbkrVenue
from tradebot.venues.ibkr.prices import details_of

MOST = 300
"""The most headlines that the venue returns for one request."""
_MOST_PAGES = 20
_DAY, _SECOND = timedelta(days=1), timedelta(seconds=1)


class IbkrNews:
    """The headlines about some futures, from all services that the account is subscribed to.

    A root stands for its contract in force.
    """

    def __init__(self, venue: IbkrVenue, names: Sequence[str]) -> None:
        self._venue, self._names = venue, names

    def headlines(self, since: datetime, until: datetime) -> Sequence[object]:
        """Return the headlines about the contracts from a period; a period of less than a day is extended to a day.

        The additional headlines cost no further request, and show how far back the source reaches even if there were
        none lately.
        """
        since = min(since, until - _DAY)

        symbols = [_contract_on(name, until.date()) for name in self._names]

        async def ask(line: IbkrConnection) -> list[object]:
            codes = [provider.code for provider in await line.news_providers()]
            if not codes:
                raise NotInPlanError(
                    f"{IBKR.title} offers this account no news services",
                    "Subscribe to one for the API in Account Management, and share it with the paper login",
                )
            return [row for symbol in symbols for row in await _of_contract(line, symbol, codes, since, until)]

        self._venue.before_read()
        return self._venue.link.read(ask)


def _contract_on(name: str, day: date) -> str:
    try:
        return symbol_of(name)
    except ValueError:
        months = months_of(root_of(name).name, day, day)
        return next(month.symbol for month in months if month.rolling.on > day)


async def _of_contract(
    line: IbkrConnection, symbol: str, codes: Sequence[str], since: datetime, until: datetime
) -> Sequence[object]:
    details = await details_of(line, symbol)
    if details is None:
        raise TemporaryError(f"{IBKR.title} doesn't list exactly one future {symbol}")
    # The start doesn't belong to the period.
    number, start, end, by_article = int(details.contract.conId), since - _SECOND, until, dict[object, object]()
    for _ in range(_MOST_PAGES):
        *page, more = await line.past_headlines(number, "+".join(codes), _text(start), _text(end), MOST)
        by_article |= {row["id"]: row for row in _rows(page, symbol)}
        if not more:
            return [*by_article.values()]
        # The end belongs to the period, so the oldest second's headlines come again, with those that didn't fit.
        end = _oldest(page)
    raise TemporaryError(f"{IBKR.title} has more than {_MOST_PAGES * MOST:,} headlines of {symbol} since {since}")


def _oldest(page: Sequence[Sequence[str]]) -> datetime:
    try:
        return min(datetime.fromisoformat(f"{time}+00:00") for time, *_ in page)
    except ValueError as error:
        raise TemporaryError(f"{IBKR.title} sent a page of headlines without a readable time") from error


def _rows(page: Sequence[Sequence[str]], symbol: str) -> Iterator[dict[str, object]]:
    for time, _, article, headline in page:
        yield {"id": article, "created_at": f"{time}+00:00", "headline": headline, "tickers": [symbol]}


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S.0}"
