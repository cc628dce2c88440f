"""News: which category a headline has by its words, and when those of each were published."""

from datetime import timedelta

import pytest

from tests.kit.values import NOW
from tradebot.signals.kinds.news import KIND, Category, category_of


@pytest.mark.parametrize(
    ("headline", "category"),
    [
        ("Apple beats Q3 revenue estimates", Category.EARNINGS),
        ("Fed leaves rates unchanged", Category.MACRO),
        ("FedEx opens a new hub", Category.OTHER),
        ("Nonfarm payrolls rise by 200,000", Category.MACRO),
        ("Broadcom to acquire VMware; takeover approved", Category.MERGER),
        ("FTC opens antitrust probe", Category.REGULATORY),
        ("SEC fines a broker", Category.REGULATORY),
        ("Security updates released", Category.OTHER),
    ],
)
def test_category_is_the_first_whose_words_are_there(headline: str, category: Category) -> None:
    assert category_of(headline) is category


def test_times_of_each_category_come_in_order() -> None:
    soon, late = NOW - timedelta(minutes=5), NOW - timedelta(minutes=1)
    found = KIND.condense([(late, Category.MACRO), (soon, Category.MACRO), (soon, Category.OTHER)])
    assert found[Category.MACRO] == (soon, late)
    assert found[Category.OTHER] == (soon,)
    assert found[Category.MERGER] == ()
