"""What a search means, and what is said of one that means nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.searching import NAMES, STATES, Search, Unreadable, Word, frozen, parse


def _words(text: str) -> tuple[Word, ...]:
    search = parse(text)
    assert isinstance(search, Search), search
    return search.words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("   ", []),
        ("Lisbon", [Word("", "Lisbon")]),
        ("Dinner  in\tLisbon", [Word("", "Dinner"), Word("", "in"), Word("", "Lisbon")]),
        ('"Dinner in Lisbon"', [Word("", "Dinner in Lisbon")]),
        ('"a \\"quoted\\" word"', [Word("", 'a "quoted" word')]),
        ("state:failed queue:email", [Word("state", "failed"), Word("queue", "email")]),
        ("State:Failed", [Word("state", "failed")]),
        ('error:"mailbox full"', [Word("error", "mailbox full")]),
        ("args.user_id:5", [Word("args", "5", path=("user_id",))]),
        ("args.data.id:x:y", [Word("args", "x:y", path=("data", "id"))]),
        ("-queue:email", [Word("queue", "email", negated=True)]),
        ("NOT queue:email", [Word("queue", "email", negated=True)]),
        ('"NOT"', [Word("", "NOT")]),
        ("id:17 id:#17 17-2", [Word("id", "17"), Word("id", "#17"), Word("", "17-2")]),
        ("settlements.settlement:17", [Word("", "settlements.settlement:17")]),
        ("since:2h until:2026-10-17", [Word("since", "2h"), Word("until", "2026-10-17")]),
        ("since:2026-10-17T14:22", [Word("since", "2026-10-17T14:22")]),
        ("anna@example.com", [Word("", "anna@example.com")]),
    ],
)
def test_a_search_is_read_as_its_words(text: str, words: list[Word]) -> None:
    assert _words(text) == tuple(words)


@pytest.mark.parametrize(
    ("text", "word", "allowed"),
    [
        ("colour:red", "colour:", "id:, state:, queue:, processor:, about:, email:, error:, worker:"),
        ("args:5", "args:", "args.<argument>:"),
        ("state:broken", "state:broken", "state:waiting, state:delayed"),
        ("since:yesterday", "since:yesterday", "2h"),
        ("since:2026-02-31", "since:2026-02-31", "2026-10-17"),
        ("until:0001-01-01", "until:0001-01-01", "2026-10-17"),
        ("since:999999w", "since:999999w", "3d"),
        ("id:abc", "id:abc", "the number of a job"),
        ("bulk:abc", "bulk:abc", "the number of a bulk action"),
        ("email:anna", "email:anna", "a whole address"),
        ("queue:", 'queue:""', "some text after the colon"),
        ('""', '""', "some text"),
        ("-", '-""', "some text"),
        ("NOT", "NOT", "in quotes"),
        ('error:"mailbox full', 'error:"mailbox', 'name:"some text"'),
        ('mailbox"full', 'mailbox"full', 'name:"some text"'),
        ("a\x00b", "U+0000", "what can be printed"),
        ("\x1b[31mred", "U+001B", "what can be printed"),
        ("half \ud800", "U+D800", "what can be printed"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_allowed(text: str, word: str, allowed: str) -> None:
    found = parse(text)
    assert isinstance(found, Unreadable)
    assert found.word == word
    assert allowed in str(found)


@pytest.mark.parametrize("text", ["w" * 201, "w " * 11, "word " * 1_900, "w" * 1_000_000])
def test_a_search_that_is_too_long_is_refused_with_what_is_allowed(text: str) -> None:
    assert "at most 10 words and 200 characters" in str(parse(text))


def test_a_long_word_is_shown_short() -> None:
    found = parse("state:" + "x" * 190)
    assert isinstance(found, Unreadable)
    assert len(found.word) < 70


def test_a_word_that_turns_the_line_around_is_shown_without_it() -> None:
    found = parse("state:\u202efailed")
    assert isinstance(found, Unreadable)
    assert "\u202e" not in str(found)


def test_a_search_without_one_of_its_words_has_the_others() -> None:
    search = parse("Lisbon state:failed Lisbon")
    assert isinstance(search, Search)
    assert str(search.without(search.words[0])) == "state:failed Lisbon"


# What is printed is read as the same ---------------------------------------------------------------

_TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from(' "\\:-.@'), min_size=1, max_size=12
).filter(str.strip)
_PATHS = st.lists(st.from_regex(r"[\w-]{1,6}", fullmatch=True), min_size=1, max_size=2).map(tuple)
_TIMES = st.from_regex(r"[1-9][0-9]{0,2}(s|min|h|d|w)", fullmatch=True) | st.dates(
    min_value=date(1900, 1, 2), max_value=date(2199, 1, 1)
).map(str)
_VALUES = {
    "id": st.integers(0, 10**18).map(str),
    "bulk": st.integers(0, 10**17).map(str),
    "state": st.sampled_from(sorted(STATES)),
    "email": st.from_regex(r"[a-z\"\\:.-]{1,5}@[a-z\"\\]{1,5}", fullmatch=True),
    "since": _TIMES,
    "until": _TIMES,
}
_NAMED = st.sampled_from([name for name in NAMES if name != "args"]).flatmap(
    lambda name: st.builds(Word, st.just(name), _VALUES.get(name, _TEXT), st.booleans())
)
_ANY_WORD = (
    _NAMED
    | st.builds(Word, st.just(""), _TEXT, st.booleans())
    | st.builds(Word, st.just("args"), _TEXT, st.booleans(), _PATHS)
)


@given(st.lists(_ANY_WORD, max_size=3))
def test_what_is_printed_of_a_search_is_read_as_the_same(words: list[Word]) -> None:
    search = Search(tuple(words))
    assert len(str(search).split()) > 10 or len(str(search)) > 200 or parse(str(search)) == search


@given(st.text(max_size=250) | st.text(st.sampled_from('ab:."\\ -\x00\u202e'), max_size=60))
def test_any_text_is_read_or_refused_with_a_word_and_a_reason(text: str) -> None:
    found = parse(text)
    if isinstance(found, Unreadable):
        assert found.word
        assert found.reason
    else:
        assert parse(str(found)) == found or len(str(found)) > 200 or len(str(found).split()) > 10


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("since:2h queue:email", "since:2026-11-27T01:30:00Z queue:email"),
        ("-until:30s", "-until:2026-11-27T03:29:30Z"),
        ("since:2026-10-17 until:2026-10-18T14:22", "since:2026-10-17 until:2026-10-18T14:22"),
        ('error:"since:2h" since', "error:since:2h since"),
        ("since:soon", "since:soon"),
        (f"since:2h {'x' * 190}", f"since:2h {'x' * 190}"),
    ],
)
def test_a_frozen_search_asks_for_the_same_jobs_later(text: str, same: str) -> None:
    assert frozen(text, datetime(2026, 11, 27, 3, 30, tzinfo=UTC)) == same


def test_a_frozen_search_can_be_read() -> None:
    now = datetime(2026, 11, 27, 3, 30, tzinfo=UTC)
    for text in ("since:2w until:15min", 'about:"Rent" -since:3d'):
        assert isinstance(parse(frozen(text, now)), Search)
