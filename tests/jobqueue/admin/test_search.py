"""What the search of the lists finds, and what it does not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from html import unescape
from urllib.parse import parse_qs

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoAssertNumQueries

from jobqueue.admin import listing
from jobqueue.admin.all_jobs import JobAdmin
from jobqueue.models import Job
from jobqueue.searching import (
    FoundRecord,
    RecordPage,
    RecordSource,
    Unreadable,
    conditions,
    parse,
    register_source,
    unregister_source,
)
from settlements.models import Settlement
from tests.jobqueue.admin.steps import (
    JOBS,
    LISTS,
    confirm,
    ids_of,
    make_job,
    operator,
    rows_of,
    text_of,
)
from tests.jobqueue.hostile import ODD_TEXTS, spoil

pytestmark = pytest.mark.django_db(databases=["default", "other"])
OFFERED = re.compile(r'<a class="jq-offered" href="(.*?)"><bdi>(.*?)</bdi></a>')


def test_every_word_that_the_page_offers_can_be_read(admin_client: Client) -> None:
    offered = re.findall(r'<span class="jq-example">(.*?)</span>', text_of(admin_client.get(JOBS)))
    assert {"state:held", "state:retried since:1d"} <= set(offered)
    assert not [text for text in offered if isinstance(parse(unescape(text)), Unreadable)]


# What is offered where nothing is found --------------------------------------------------------------


def _offered(client: Client, text: str, **asked: str) -> list[tuple[str, str]]:
    """The searches that the page offers, by where they lead."""
    page = text_of(client.get(JOBS, {"q": text, **asked}))
    return [(unescape(url), unescape(said)) for url, said in OFFERED.findall(page)]


def test_an_address_that_finds_nothing_is_offered_as_one(admin_client: Client) -> None:
    job = make_job("completed", payload={"email": "alice@mail.example"})
    make_job("completed")
    [(url, text)] = _offered(admin_client, "alice@mail.example", o="1")
    assert text == "email:alice@mail.example" and "o=1" in url
    assert ids_of(admin_client.get(f"{JOBS}{url}")) == {job.pk}


def test_the_other_words_stay_in_what_is_offered(admin_client: Client) -> None:
    [(_url, text)] = _offered(admin_client, "-bob@x.io state:failed alice@x.io")
    assert text == "-bob@x.io state:failed email:alice@x.io"


@pytest.mark.parametrize(
    "text", ["alice", "@", "alice@", "@x.io", '"alice @x.io"', "-alice@x.io", "email:alice@x.io"]
)
def test_what_is_no_address_is_offered_as_none(admin_client: Client, text: str) -> None:
    assert _offered(admin_client, text) == []


def test_what_finds_jobs_is_offered_as_nothing_else(admin_client: Client) -> None:
    make_job("failed", reason="no such box: alice@x.io")
    assert ids_of(admin_client.get(JOBS, {"q": "alice@x.io"}))
    assert _offered(admin_client, "alice@x.io") == []


def test_an_address_is_offered_to_who_may_search_for_it_only() -> None:
    assert _offered(operator("view_job"), "alice@x.io") == []
    assert _offered(operator("view_job", "view_payload", username="reader"), "alice@x.io")


def test_what_is_offered_asks_the_database_nothing(admin_client: Client) -> None:
    numbers = []
    for text in ("alice.x.io", "alice@x.io", "alice.x.io"):
        with CaptureQueriesContext(connection) as asked:
            admin_client.get(JOBS, {"q": text})
        numbers.append(len(asked))
    assert numbers[1] == numbers[2]


# What is found --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}", "#{}", "{}-3", " {} "])
def test_a_number_finds_the_job_with_that_id(admin_client: Client, form: str) -> None:
    wanted = make_job()
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": form.format(wanted.pk)})) == {wanted.pk}


def test_the_whole_subject_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(subject="shop.order:17")
    make_job(subject="shop.order:171")
    assert ids_of(admin_client.get(JOBS, {"q": "shop.order:17"})) == {wanted.pk}


def test_the_start_of_a_subject_finds_its_jobs(admin_client: Client) -> None:
    wanted = {make_job(subject=f"shop.order:17{digit}").pk for digit in "ab"}
    make_job(subject="shop.order:2")
    assert ids_of(admin_client.get(JOBS, {"q": "shop.order:17"})) == wanted


def test_the_key_of_a_record_finds_its_jobs(admin_client: Client) -> None:
    key = "3f2a9c1e-0000-4000-8000-000000000001"
    wanted = make_job(subject=f"settlements.settlement:{key}")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": key})) == {wanted.pk}


def test_the_name_of_a_record_finds_its_jobs(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    lisbon = make_settlement(description="Dinner in Lisbon")
    make_settlement(description="Rent for May")
    wanted = set(Job.objects.about(lisbon).values_list("pk", flat=True))
    assert wanted
    assert ids_of(admin_client.get(JOBS, {"q": "lisbon"})) == wanted


def test_the_name_of_a_record_finds_nothing_for_who_may_not_see_records(settlement: Settlement) -> None:
    client = operator("view_job")
    assert ids_of(client.get(JOBS, {"q": "Lisbon"})) == set()


def test_part_of_a_processors_name_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(processor="sample.skip")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": "SKIP"})) == {wanted.pk}


def test_the_name_of_a_processor_that_is_not_registered_any_more_finds_its_jobs(admin_client: Client) -> None:
    wanted = make_job(processor="removed.long.ago")
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": "removed.long.ago"})) == {wanted.pk}


@pytest.mark.parametrize("text", ["9" * 40, "%", "'; drop table", "a:b:c", "settlements.settlement:"])
def test_a_strange_search_finds_nothing_and_does_no_harm(admin_client: Client, text: str) -> None:
    make_job()
    assert ids_of(admin_client.get(JOBS, {"q": text})) == set()


def test_a_search_for_what_no_database_stores_does_no_harm(admin_client: Client) -> None:
    assert admin_client.get(JOBS, {"q": "\x00"}).status_code == 200


def test_what_is_in_a_payload_cannot_be_searched(admin_client: Client) -> None:
    make_job(payload={"email": "anna@example.com"})
    assert ids_of(admin_client.get(JOBS, {"q": "anna@example.com"})) == set()


# What the page says of a search --------------------------------------------------------------------


def _links(response: HttpResponse, name: str) -> list[tuple[str, str]]:
    """The address and the text of each link of that class."""
    found = re.findall(rf'<a class="{name}" href="([^"]*)"[^>]*>(.*?)</a>', text_of(response), re.DOTALL)
    return [(unescape(url), re.sub(r"<[^>]+>", "", text).strip()) for url, text in found]


def test_each_word_can_be_taken_away_and_the_filters_stay(admin_client: Client) -> None:
    page = admin_client.get(JOBS, {"q": 'state:failed error:"mailbox full"', "queue": "email"})
    urls = [url for url, _text in _links(page, "jq-word")]
    assert [parse_qs(url[1:]) for url in urls] == [
        {"q": ['error:"mailbox full"'], "queue": ["email"]},
        {"q": ["state:failed"], "queue": ["email"]},
    ]


def test_the_last_word_leads_to_the_list_without_a_search(admin_client: Client) -> None:
    page = admin_client.get(JOBS, {"q": "state:failed"})
    assert [url for url, _text in _links(page, "jq-word")] == ["?"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour:red", "There is no colour:; allowed are id:, state:"),
        ("state:broken", "state:broken cannot be looked for; allowed is state:waiting"),
        ('error:"open', "do not fit"),
        ("\x1b[31m", "U+001B is no character of a search"),
    ],
)
@pytest.mark.parametrize("url", LISTS)
def test_a_search_that_cannot_be_read_finds_nothing_and_says_which_word_and_what_is_allowed(
    admin_client: Client, url: str, text: str, says: str
) -> None:
    for state in ("waiting", "failed", "stuck"):
        make_job(state)
    page = admin_client.get(url, {"q": text})
    assert rows_of(page) == []
    assert says in unescape(text_of(page))


def test_a_bulk_action_on_a_search_that_cannot_be_read_changes_nothing(admin_client: Client) -> None:
    job = make_job("failed")
    said = confirm(admin_client, "retry", url=f"{JOBS}?q=colour:red", select_across="1", counted="")
    job.refresh_from_db()
    assert job.state == "failed"
    [text] = set(said)
    assert text.startswith("Nothing was done. Nothing was looked for: There is no colour:")


def test_payloads_are_searched_by_who_may_read_them_only(admin_client: Client) -> None:
    job = make_job(payload={"user_id": 5})
    assert ids_of(admin_client.get(JOBS, {"q": "args.user_id:5"})) == {job.pk}
    page = operator("view_job").get(JOBS, {"q": "args.user_id:5"})
    assert rows_of(page) == []
    assert "args.user_id: looks into payloads, which you may not read" in text_of(page)


def test_what_is_found_besides_the_jobs_is_shown_in_groups(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    make_job("failed", reason=f"ConnectionError: {payer.username} was refused")
    page = admin_client.get(JOBS, {"q": payer.username})
    groups = {
        group.title: [entry.label for entry in group.entries] for group in page.context["searched"].groups
    }
    assert groups == {
        "People": [payer.get_full_name()],
        "Settlements": ["Dinner in Lisbon"],
        "Errors of failed jobs": [f"ConnectionError: {payer.username} was refused"],
    }
    urls = {text: url for url, text in _links(page, "jq-found-jobs")}
    assert ids_of(admin_client.get(urls["1 job"])) == set(Job.objects.failed().values_list("pk", flat=True))


def test_what_is_found_leads_to_the_page_that_its_app_names(payer: User) -> None:
    """To its own page who may not see that one; nowhere who may see neither."""

    def find(searches: Sequence[Sequence[str]], most: int) -> list[list[FoundRecord]]:
        page = RecordPage("auth_user_history", ("jobqueue.view_audit",))
        return [[FoundRecord(payer, "Pia", page=page)] for _words in searches]

    register_source(
        RecordSource("shop.customers", "Customers", ("auth.view_user", "jobqueue.view_job"), find)
    )
    try:
        for name, permissions, page in (
            ("all", ["view_audit"], "history"),
            ("own", ["auth.view_user"], "change"),
            ("none", [], ""),
        ):
            found = operator("view_job", *permissions, username=name).get(JOBS, {"q": "pia"})
            urls = {group.title: group.entries[0].url for group in found.context["searched"].groups}
            assert urls["Customers"] == (f"/admin/auth/user/{payer.pk}/{page}/" if page else "")
    finally:
        unregister_source("shop.customers")


def test_what_a_user_may_not_see_is_in_no_group(settlement: Settlement, payer: User) -> None:
    page = operator("view_job").get(JOBS, {"q": payer.username})
    assert page.context["searched"].groups == []


def test_the_page_says_among_how_many_rows_was_searched(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "NEWEST", 1)
    for _ in range(2):
        make_job()
    said = "among the newest 100,000 rows only"
    assert said in text_of(admin_client.get(JOBS, {"q": "args.user_id:5"}))
    assert said not in text_of(admin_client.get(JOBS, {"q": "state:waiting"}))


def test_a_search_reads_its_rows_once(admin_client: Client) -> None:
    make_job(payload={"user_id": 5})
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(JOBS, {"q": "args.user_id:5"})
    asked = [entry["sql"] for entry in captured.captured_queries if "user_id" in entry["sql"]]
    assert len(asked) == 1
    assert len(captured.captured_queries) <= 15


def test_errors_of_failed_jobs_are_looked_into_once_where_none_has_the_text(admin_client: Client) -> None:
    make_job("failed")
    with CaptureQueriesContext(connection) as captured:
        admin_client.get(JOBS, {"q": "nobody"})
    statements = [entry["sql"].lower() for entry in captured.captured_queries]
    looked = [sql for sql in statements if "nobody" in sql and '"reason"' in sql.partition(" where ")[2]]
    assert len(looked) == 1


def test_a_word_that_names_a_processor_makes_no_other_error_one_that_has_it(admin_client: Client) -> None:
    named = make_job("failed", processor="sample.succeed", reason="refused by the server")
    both = make_job("failed", processor="nobody.knows", reason="sample refused")
    page = admin_client.get(JOBS, {"q": "sample refused"})
    [errors] = [group for group in page.context["searched"].groups if group.title == "Errors of failed jobs"]
    assert ids_of(page) == {named.pk, both.pk}
    assert [entry.label for entry in errors.entries] == ["sample refused"]


@pytest.mark.usefixtures("settlement")
def test_a_search_of_three_words_takes_few_queries(
    admin_client: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    make_job("active", processor="sample.succeed")
    with django_assert_max_num_queries(15):
        admin_client.get(JOBS, {"q": "sample payer Lisbon"})


def test_the_pages_of_a_search_follow_each_other(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    jobs = [make_job(queue="reminders").pk for _ in range(5)]
    make_job()
    pages = [admin_client.get(JOBS, {"q": "queue:reminders", "p": str(number)}) for number in (1, 2, 3)]
    assert [[job.pk for job in rows_of(page)] for page in pages] == [jobs[:2:-1], jobs[2:0:-1], jobs[:1]]


def test_a_page_behind_what_is_counted_shows_its_rows_and_keeps_the_search(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(JobAdmin, "list_per_page", 2)
    monkeypatch.setattr(listing, "COUNT_LIMIT", 4)
    jobs = [make_job(queue="reminders").pk for _ in range(7)][::-1]
    make_job()
    pages = [admin_client.get(JOBS, {"q": "queue:reminders", "p": str(number)}) for number in (2, 3, 4, 9)]
    found = [[job.pk for job in rows_of(page)] for page in pages]
    assert found == [jobs[2:4], jobs[4:6], jobs[6:], jobs[-2:]]


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    "text",
    [
        *(
            "<script>alert(1)</script>",
            "{{ 7 }}",
            "\u202eabc",
            "a\x00b",
            "\x1b[31mred",
            "w " * 1_900,
            "w" * 1_000_000,
        ),
        *('"', "\\", "-", "NOT", "::", "args.:", "%"),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_a_hostile_search_shows_no_job_and_no_markup(admin_client: Client, url: str, text: str) -> None:
    for state in ("waiting", "failed", "stuck"):
        make_job(state)
    page = admin_client.get(url, {"q": text})
    assert rows_of(page) == []
    assert "<script>alert" not in text_of(page)


@pytest.mark.parametrize("value", ODD_TEXTS)
def test_a_search_shows_failures_with_anything_as_their_reason(admin_client: Client, value: str) -> None:
    spoil(make_job("failed"), "reason", value)
    good = make_job("failed", reason="err")
    page = admin_client.get(JOBS, {"q": "err"})
    assert good.pk in ids_of(page)
    assert "Errors of failed jobs" in text_of(page)


def test_a_record_that_cannot_be_read_keeps_no_job_from_being_found(
    admin_client: Client, make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settlement: Settlement) -> str:
        raise ArithmeticError("no amount")

    make_settlement(description="ConnectionError")
    monkeypatch.setattr(Settlement, "__str__", broken)
    job = make_job("failed")
    assert ids_of(admin_client.get(JOBS, {"q": "ConnectionError"})) == {job.pk}


def test_a_search_by_worker_says_what_is_not_known_of_one_that_has_ended(admin_client: Client) -> None:
    said = "Of a worker that has ended only those jobs are known that failed there."
    assert said in text_of(admin_client.get(JOBS, {"q": "worker:web-1"}))
    assert said not in text_of(admin_client.get(JOBS, {"q": "state:failed"}))
