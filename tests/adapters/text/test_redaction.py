"""A key is taken out of a text in each form it is written in, and nothing else is."""

import base64
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradebot.adapters.text import redaction
from tradebot.adapters.text.redaction import HIDDEN, SHORTEST, forms, hide_in, hide_keys, learn, without_keys

KEY = "/".join(("Ab+c", "9Zk_", "q~-4")) * 2
TEXTS = st.text(st.characters(codec="ascii"), max_size=40)
KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=SHORTEST, max_size=60)


@pytest.fixture(autouse=True)
def _known() -> Iterator[None]:
    """Forget afterwards what was learnt here, and let memory be dumped as before."""
    before, limit = dict(redaction._forms), resource.getrlimit(resource.RLIMIT_CORE)
    yield
    redaction._forms.clear()
    redaction._forms.update(before)
    resource.setrlimit(resource.RLIMIT_CORE, limit)


@pytest.mark.parametrize(
    "written",
    [
        KEY,
        KEY.replace("/", "\\/"),
        quote(KEY, safe=""),
        quote(KEY),
        quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        KEY.encode().hex(),
        KEY.encode().hex().upper(),
    ],
)
def test_every_way_to_write_a_key_is_hidden(written: str) -> None:
    learn(KEY)
    assert hide_keys(f"before {written} after") == f"before {HIDDEN} after"
    assert hide_in(f"before {written} after".encode()) == f"before {HIDDEN} after".encode()


@given(KEYS, TEXTS, TEXTS)
def test_base64_shows_no_key_wherever_it_stands_in_it(key: str, before: str, after: str) -> None:
    learn(key)
    whole = f"{before}{key}{after}".encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        shown = hide_keys(encode(whole).decode())
        assert HIDDEN in shown
        left = max(shown.split(HIDDEN), key=len)
        assert key.encode() not in base64.urlsafe_b64decode(
            left[: len(left) // 4 * 4].replace("+", "-").replace("/", "_")
        )


@given(st.text())
def test_hide_leaves_a_text_without_keys_unchanged(text: str) -> None:
    learn("\x01" * 12)
    kept = text.replace("\x01", "")
    assert (hide_keys(kept), hide_in(kept.encode())) == (kept, kept.encode())


@pytest.mark.parametrize("key", [None, "", "sandbox", "k" * (SHORTEST - 1)])
def test_learn_ignores_words_too_short_to_be_keys(key: str | None) -> None:
    learn(key)
    assert hide_keys(f"the {key} stays") == f"the {key} stays"


def test_memory_that_holds_a_key_is_not_dumped() -> None:
    learn("k" * 20)
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0


def test_redaction_imports_nothing_more_in_a_process_without_keys() -> None:
    hiding = "from tradebot.adapters.text.redaction import hide_keys; hide_keys('x')"
    code = f"import sys; {hiding}; print('base64' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"


def test_every_form_of_a_key_is_hidden() -> None:
    assert len(forms(KEY)) == len(set(forms(KEY)))
    assert all(len(form) >= len(KEY) for form in forms(KEY))


@pytest.mark.parametrize("line", ["ALPACA_SECRET=typed-by-mistake-1", "export UW_API_KEY='typed-by-mistake-1'"])
def test_key_that_a_person_types_is_hidden_wherever_it_is_set(line: str, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(f"no line\n{line}\n")
    name, _, value = line.removeprefix("export ").partition("=")
    for environ, place in (({}, str(file)), ({name: value.strip("'")}, str(tmp_path / "gone"))):
        assert without_keys("oops, typed-by-mistake-1 is my key", environ, place) == "oops, [hidden] is my key"
    assert without_keys("the feed is down", {"ALPACA_KEY": "PK12345678"}, str(file)) == "the feed is down"
