"""What a search that stands in a text looked for in payloads is hidden; the names stay, and all around it."""

from __future__ import annotations

import time

import pytest

from jobqueue.masking import mask_searched
from jobqueue.searching import Search, Word, quoted

HIDDEN = [
    ("args.number:987654", "args.number:•••"),
    ("-args.number:987654", "-args.number:•••"),
    ("NOT args.number:987654", "NOT args.number:•••"),
    ("args.card.owner-id:987654", "args.card.owner-id:•••"),
    ('args.note:"987654 or so"', "args.note:•••"),
    (r'args.note:"987654 \"or\" so" state:failed', "args.note:••• state:failed"),
    (r'args.note:"987654 \\" state:failed', "args.note:••• state:failed"),
    ('args.note:"987654 cut', "args.note:•••"),
    ('args.note:"987654 cut\\', "args.note:•••"),
    ('"args.number:987654"', '"args.number:•••'),
    ("args.a:987654 args.b:987654", "args.a:••• args.b:•••"),
    ("args.a:98)76(54", "args.a:•••"),
    ("search=args.number:987654 state=failed", "search=args.number:••• state=failed"),
    ("Cancel: 1 job (jobs of the list q=args.a:987654)", "Cancel: 1 job (jobs of the list q=args.a:•••)"),
    ("(jobs of the list q=args.a:987654). Reason: x", "(jobs of the list q=args.a:•••). Reason: x"),
]


@pytest.mark.parametrize(("text", "shown"), HIDDEN)
def test_the_value_is_hidden_and_its_name_stays(text: str, shown: str) -> None:
    assert mask_searched(text) == shown


@pytest.mark.parametrize(
    "value", ["987654", "987 654", '9"87654', "987654\\", "98:76=54", "„987654“", "987654."]
)
def test_any_value_is_hidden_as_a_search_writes_it(value: str) -> None:
    search = Search((Word("args", value, path=("a", "b")), Word("state", "failed")))
    assert mask_searched(str(search)) == "args.a.b:••• state:failed"
    assert mask_searched(f"args.a:{quoted(value)}") == "args.a:•••"


@pytest.mark.parametrize(
    "text",
    ["state:failed queue:email", "args.number: it is", "kwargs.number:5", "my.args.number:5", "args:5"],
)
def test_what_no_search_of_payloads_is_stays(text: str) -> None:
    assert mask_searched(text) == text


@pytest.mark.parametrize("part", ["args.a-", 'args.a:"', "args.", 'args.a:"\\', "args.a:)"])
def test_a_long_text_takes_no_long_time(part: str) -> None:
    begin = time.perf_counter()
    mask_searched(part * 20_000)
    assert time.perf_counter() - begin < 5
