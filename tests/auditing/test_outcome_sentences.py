"""What measured outcomes mean, in sentences that a person understands."""

import pytest

from tradebot.auditing.outcomes import Measured, Refusals, verdict, what_refusals_did
from tradebot.model.values import replace

KNOWN = Measured("1 hour", 90, 30, 0.002, 0.001, 0.003, 0.001, is_found=True, needed=40)
REFUSED = Refusals(84, 21, -312.5, -700.0, 75.0)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (KNOWN, "it predicts"),
        (replace(KNOWN, mean=-0.002), "it predicts the opposite"),
        (replace(KNOWN, is_found=False), "can't be told from chance; to see 0.1% takes about 40 sessions"),
        (
            replace(KNOWN, is_found=False, needed=30),
            "no better than chance; an effect of 0.1% would probably show by now",
        ),
        (
            replace(KNOWN, low=None, high=None, p=None, is_found=False, needed=None, sessions=3),
            "too little to know: 3 of at least 8 sessions",
        ),
        (replace(KNOWN, horizon="10 sessions", low=None, sessions=1), "too little to know: 1 of at least 44 sessions"),
        (replace(KNOWN, low=None), "all sessions are alike, which proves nothing"),
        (replace(KNOWN, mean=None), "nothing is over yet"),
    ],
)
def test_verdict_is_a_plain_sentence(found: Measured, sentence: str) -> None:
    assert verdict(found) == sentence


@pytest.mark.parametrize(
    ("found", "benchmark", "sentence"),
    [
        (
            REFUSED,
            "SPY",
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "made 312.50 USD less than the same in SPY (95% interval -700.00 to +75.00 USD): refusing them neither "
            "clearly cost nor clearly saved money.",
        ),
        (
            replace(REFUSED, usd=50.0, low_usd=10.0),
            "SPY",
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "made 50.00 USD more than the same in SPY (95% interval +10.00 to +75.00 USD): refusing them cost money.",
        ),
        (
            replace(REFUSED, high_usd=-20.0),
            None,
            "The gates refused 84 trades in 21 sessions; with 1,000 USD in each, held to the close, they would have "
            "lost 312.50 USD (95% interval -700.00 to -20.00 USD): refusing them saved money.",
        ),
        (
            Refusals(1, 1, 5.0, None, None),
            None,
            "The gates refused 1 trade in 1 session; with 1,000 USD in each, held to the close, they would have made "
            "5.00 USD, but 1 session can't show whether that was chance.",
        ),
        (None, "SPY", "No trade that a gate refused is over yet, so nothing can be said about refusals."),
    ],
)
def test_effect_of_refusals_is_one_sentence(found: Refusals | None, benchmark: str | None, sentence: str) -> None:
    assert what_refusals_did(found, benchmark) == sentence
