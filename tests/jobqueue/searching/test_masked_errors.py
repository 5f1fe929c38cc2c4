"""Who may not read payloads finds errors by exactly the text that is shown: all but the addresses in it."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection, connections
from django.test import Client
from django.utils.translation import override
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobqueue.masking import AT_SIGNS, mask_addresses
from jobqueue.models import Job
from jobqueue.searching import find_jobs, parse, quoted
from jobqueue.sql.masked import Masked
from tests.jobqueue.admin.steps import JOBS, add_attempt, choose, make_job, text_of
from tests.jobqueue.api.steps import get
from tests.jobqueue.hostile import ODD_TEXTS
from tests.jobqueue.searching.test_finding import ids, operator, viewer
from tests.jobqueue.test_masking import ODD

__all__ = ["operator", "viewer"]
pytestmark = pytest.mark.django_db(databases=["default", "other"])

IS_POSTGRESQL = connection.vendor == "postgresql"
SAID = "has quotes or a comment"
FULL = "SMTPRecipientsRefused: {'pia@example.com': (452, b'4.2.2 mailbox full')}"
GONE = "SMTPRecipientsRefused: {'bob@mail.org': (550, b'5.1.1 no such user')}"
SHOWN = "SMTPRecipientsRefused: (address)': (452, b'4.2.2 mailbox full')}"
SEEN = [
    "mailbox full",
    "MAILBOX FULL",
    "(452, b'4.2.2 mailbox full')}",
    "(address)': (452",
    "ress)': (452",
    "Refused: (address)': (4",
    SHOWN,
]
"""Parts of the one as it is shown, and not of the other."""
HIDDEN = [
    "pia",
    "example",
    "pia@example.com",
    "a@e",
    "@",
    "{'",
    "d: {",
    "com",
    "m': (452",
    "@example.com': (",
]
"""Parts of the addresses, also across their edges."""


@pytest.fixture
def failures() -> tuple[Job, Job]:
    """Two failed jobs with addresses in all that is kept of their errors."""
    jobs = make_job("failed", reason=FULL), make_job("failed", reason=GONE)
    for job in jobs:
        name, _colon, message = job.reason.partition(": ")
        add_attempt(job, error=name, message=message)
    return jobs


def test_the_error_is_shown_as_these_tests_say() -> None:
    assert mask_addresses(FULL) == SHOWN
    assert [text for text in HIDDEN if text in SHOWN] == []


@pytest.mark.parametrize("before", ["error:", "state:failed error:", ""])
@pytest.mark.parametrize("text", SEEN)
def test_what_stands_around_an_address_is_found(
    viewer: User, failures: tuple[Job, Job], before: str, text: str
) -> None:
    full, gone = failures
    assert ids(before + quoted(text), viewer) == {full.pk}
    named, _colon, name = before.rpartition(" ")
    assert ids(f"{named} -{name}{quoted(text)}", viewer) == {gone.pk}


@pytest.mark.parametrize("before", ["error:", "state:failed error:", ""])
@pytest.mark.parametrize("text", HIDDEN)
def test_no_part_of_an_address_is_found_or_left_out(
    viewer: User, failures: tuple[Job, Job], before: str, text: str
) -> None:
    named, _colon, name = before.rpartition(" ")
    assert ids(before + quoted(text), viewer) == set()
    assert ids(f"{named} -{name}{quoted(text)}", viewer) == {job.pk for job in failures}


def test_who_may_read_payloads_finds_errors_as_they_are(operator: User, failures: tuple[Job, Job]) -> None:
    assert ids("error:pia@example.com", operator) == {failures[0].pk}
    assert ids('error:"(address)"', operator) == set()


def test_what_waits_for_its_next_attempt_is_found_by_its_attempts(viewer: User) -> None:
    job = make_job("delayed", attempt=2, reason=FULL)
    name, _colon, message = FULL.partition(": ")
    add_attempt(job, error=name, message=message)
    done = make_job("completed", attempt=2)
    add_attempt(done, error=name, message=message)
    for text in SEEN:
        assert ids(f"error:{quoted(text)}", viewer) == {job.pk, done.pk}, text
    for text in HIDDEN:
        assert ids(f"error:{quoted(text)}", viewer) == set(), text


def test_a_cause_with_an_address_is_found_by_what_is_shown_of_it(
    viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("failed", reason="", cause=FULL)
    for most in (2_000, 1):
        monkeypatch.setattr("jobqueue.searching.causes._MOST_CAUSES", most)
        assert ids('error:"mailbox full"', viewer) == {job.pk}
        assert ids("error:example", viewer) == set()


def test_a_subject_with_an_address_is_found_by_what_is_shown_of_it(viewer: User) -> None:
    job = make_job(subject="shop.mail:pia@example.com")
    for text in ("shop.mail:", '"shop.mail:(addr"'):
        assert ids(f"about:{text}", viewer) == {job.pk}, text
    for text in ("shop.mail:p", "shop.mail:pia@", '"shop.mail:(x"'):
        assert ids(f"about:{text}", viewer) == set(), text


def test_the_mask_is_found_in_the_language_of_who_looks(viewer: User, failures: tuple[Job, Job]) -> None:
    with override("de"):
        assert ids(f'error:"(Adresse){SHOWN.partition("(address)")[2]}"', viewer) == {failures[0].pk}


@pytest.mark.parametrize("address", ODD)
def test_no_part_of_an_odd_address_is_found_and_what_follows_it_is(viewer: User, address: str) -> None:
    job = make_job("failed", reason=f"550 <{address}> is unknown\nhere")
    assert ids('error:"is unknown"', viewer) == ids("error:here", viewer) == {job.pk}
    shown = mask_addresses(job.reason).upper()
    parts = {address[at : at + length].strip() for length in (1, 2, 3) for at in range(min(len(address), 30))}
    for part in {one for one in parts if one and one.upper() not in shown}:
        assert ids(f"error:{quoted(part)}", viewer) == set(), part


# Texts of anybody ------------------------------------------------------------------------------------

_SIGNS = st.one_of(st.just("@"), st.sampled_from([*AT_SIGNS, *(sign.upper() for sign in AT_SIGNS)]))
_PIECES = st.sampled_from(
    ["a", "pia", "x.org", ".", ".c", "'", '"', '\\"', "\\", "(", ")", "(c)", "(c d)", "<", ">", ",", ":", ";"]
    + [
        "[",
        "]",
        "[1.2]",
        "%",
        "&",
        "#64;",
        "é",
        "ß",
        "ſ",
        "K",
        "-",
        "_",
        "^",
        "$",
        "*",
        "{",
        "}",
        "中文",
        "😀",
    ]
    + [" ", "  ", "\t", "\n", "\r", "\x1c", "\x85", "\u00a0", "\u2028", "\u200b", "w" * 64, "q" * 320]
)
_TEXTS = st.lists(st.one_of(_SIGNS, _PIECES, _PIECES), max_size=24).map(lambda pieces: "".join(pieces)[:500])
_CUT = "\x01"


def _masked(texts: list[str]) -> list[str]:
    """These as the database shows them."""
    keys = list(Job.objects.order_by("pk").values_list("pk", flat=True)[: len(texts)])
    for key, text in zip(keys, texts, strict=True):
        Job.objects.filter(pk=key).update(reason=text)
    rows: Any = Job.objects.filter(pk__in=keys).order_by("pk").annotate(shown=Masked("reason"))
    return list(rows.values_list("shown", flat=True))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_TEXTS, min_size=10, max_size=10))
def test_the_database_masks_as_python_does_or_leaves_less(db: None, texts: list[str]) -> None:
    while Job.objects.count() < len(texts):
        make_job("failed")
    for text, found in zip(texts, _masked(texts), strict=True):
        shown = mask_addresses(text)
        if _CUT not in found:
            assert found == shown
            continue
        # The end of a line is left of what is not masked exactly.
        assert IS_POSTGRESQL
        for line, left in zip(text.split("\n"), found.split("\n"), strict=True):
            begin, cut, end = left.partition(_CUT)
            assert (begin == "" and mask_addresses(line).endswith(end)) if cut else left == line


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        "550 a@x.org, b@y.org; <c@z.org> and 'd@w.org': nobody",
        "404 for https://x.org/?email=pia%40example.com&page=2 by \\u0040me",
        "from o'hara@example.com'to'b@x to c@d@e.org",
        "@shared_task: 3 @' 4.50 EUR",
        "a" * 200 + "@" + "b" * 100 + " " + "word " * 30 + "pia@example.com end",
        "pia\uff20example.com, pia\u2003x@y\u00a0z",
    ],
)
def test_usual_addresses_are_masked_exactly_by_every_database(text: str) -> None:
    make_job("failed")
    assert _masked([text]) == [mask_addresses(text)]


# Connections ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("using", ["default", "other"])
def test_every_connection_masks_also_one_of_another_thread(using: str) -> None:
    found: list[int] = []

    def ask() -> None:
        with closing(connections[using]):
            found.append(Job.objects.using(using).annotate(shown=Masked("reason")).filter(shown="-").count())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert found == [0]


@pytest.mark.parametrize("odd", ODD_TEXTS)
def test_what_is_no_text_keeps_no_row_from_being_found(viewer: User, odd: str) -> None:
    make_job("failed")
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE jobqueue_job SET reason = {odd}")
    job = make_job("failed", reason=FULL)
    assert ids('state:failed error:"mailbox full"', viewer) == {job.pk}
    assert ids('state:failed -error:"mailbox full"', viewer) != {job.pk}


# What is said --------------------------------------------------------------------------------------


def test_who_looks_is_told_that_of_unusual_addresses_not_all_was_looked_into(
    viewer: User, operator: User
) -> None:
    def is_cut(text: str, user: User) -> bool:
        found: Any = find_jobs(Job.objects.all(), parse(text), user)  # type: ignore[arg-type]
        return bool(found.errors_cut)

    assert [is_cut(text, viewer) for text in ("error:x", "-error:x", "x")] == [IS_POSTGRESQL] * 3
    assert not is_cut("state:failed", viewer)
    assert not is_cut("error:x", operator)


def test_the_pages_and_the_api_say_so(viewer: User, client: Client) -> None:
    viewer.user_permissions.add(Permission.objects.get(codename="cancel_job"))
    client.force_login(viewer)
    make_job()
    pages = (
        client.get(JOBS, {"q": "-error:x"}),
        choose(client, "cancel", url=f"{JOBS}?q=-error:x", select_across="1"),
    )
    assert [SAID in text_of(page) for page in pages] == [IS_POSTGRESQL] * 2
    for path in ("jobs/?search=", "bulk/plan/?verb=cancel&search="):
        assert get(client, f"{path}error:x")["errors_cut"] is IS_POSTGRESQL
        assert get(client, f"{path}state:waiting")["errors_cut"] is False


@pytest.mark.usefixtures("failures")
def test_a_plan_for_the_others_does_not_take_what_was_left_out(viewer: User, client: Client) -> None:
    viewer.user_permissions.add(Permission.objects.get(codename="retry_job"))
    client.force_login(viewer)
    for sign in ("", "-"):
        path = f'bulk/plan/?verb=retry&search=state:failed {sign}error:"mailbox full"'
        assert get(client, path)["jobs"] == 1
