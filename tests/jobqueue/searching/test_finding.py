"""What each word of a search finds among the jobs, and what it does not tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from jobqueue.exceptions import DuplicateSource
from jobqueue.models import Job, Worker
from jobqueue.models.holding import hold
from jobqueue.searching import (
    FoundRecord,
    RecordSource,
    Search,
    Unreadable,
    causes,
    conditions,
    find_jobs,
    parse,
    register_source,
    unregister_source,
)
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import add_attempt, make_job, make_worker
from tests.jobqueue.hostile import HOSTILE, spoil

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture
def operator(db: Any) -> User:
    """Somebody who may do all."""
    return User.objects.create_superuser("chief")


@pytest.fixture
def viewer(db: Any) -> User:
    """Somebody who may see jobs, and no payload."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="view_job"))
    return user


def _found(text: str, user: User) -> Any:
    search = parse(text)
    assert isinstance(search, Search), search
    return find_jobs(Job.objects.all(), search, user)


def ids(text: str, user: User) -> set[int]:
    """The ids of the jobs that the search finds."""
    found = _found(text, user)
    assert not isinstance(found, Unreadable), found
    return set(found.jobs.values_list("pk", flat=True))


# One word ------------------------------------------------------------------------------------------

ANNA = {"email": "Anna@Example.com", "user_id": 5, "data": {"kind": "final", "paid": True}}
OTHER = {"email": "joanna@example.com", "user_id": 55, "data": {"kind": "first", "paid": False}}


@pytest.mark.parametrize(
    "text",
    [
        *("args.user_id:5", "args.email:Anna@Example.com", "args.data.kind:final", "args.data.paid:true"),
        *("email:anna@example.com", "-args.user_id:55", "NOT email:joanna@example.com"),
    ],
)
def test_an_argument_finds_the_jobs_that_have_it(operator: User, text: str) -> None:
    wanted = make_job(payload=ANNA)
    make_job(payload=OTHER)
    assert ids(text, operator) == {wanted.pk}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("state:failed", {"state": "failed"}),
        ("state:delayed", {"state": "delayed"}),
        ("state:skipped", {"state": "skipped"}),
        ("state:stuck", {"state": "stuck"}),
        ("-state:waiting", {"state": "failed"}),
        ("queue:reminders", {"queue": "reminders"}),
        ("processor:sample.skip", {"processor": "sample.skip"}),
        ("processor:SKIP", {"processor": "sample.skip"}),
        ("processor:removed.long.ago", {"processor": "removed.long.ago"}),
        ("-processor:sample.succeed", {"processor": "sample.skip"}),
        ('error:"mailbox FULL"', {"state": "failed", "reason": "EmailNotSent: 552 Mailbox full"}),
        ("state:failed error:552", {"state": "failed", "reason": "EmailNotSent: 552 Mailbox full"}),
        ("about:shop.order:17", {"subject": "shop.order:17"}),
        ('about:"shop.order:17"', {"subject": "shop.order:170"}),
        ("shop.order:17", {"subject": "shop.order:17"}),
    ],
)
def test_a_word_finds_what_it_says(operator: User, text: str, wanted: dict[str, str]) -> None:
    job = make_job(**wanted)
    make_job()
    assert ids(text, operator) == {job.pk}


def test_what_is_held_is_found_apart_from_what_waits_for_its_time(operator: User) -> None:
    held, delayed = make_job("delayed"), make_job("delayed")
    hold(held, "pia", "wrong text", "default")
    assert ids("state:held", operator) == {held.pk}
    assert ids("state:delayed", operator) == {held.pk, delayed.pk}
    assert ids("state:delayed -state:held", operator) == {delayed.pk}


def test_the_number_of_a_job_finds_it(operator: User) -> None:
    job, _other = make_job(), make_job()
    for text in ("id:{}", "{}", "#{}", "{}-2"):
        assert ids(text.format(job.pk), operator) == {job.pk}


@pytest.mark.parametrize("text", ["bulk:7", "bulk:#7", "-bulk:8"])
def test_the_number_of_a_bulk_action_finds_the_jobs_that_it_changed_last(operator: User, text: str) -> None:
    job = make_job("failed", bulk_action=7)
    make_job("failed", bulk_action=8)
    untouched = {make_job("failed").pk} if text.startswith("-") else set()
    assert ids(text, operator) == {job.pk, *untouched}


def test_an_error_is_found_in_the_attempts_of_a_job_that_is_tried_again(operator: User) -> None:
    job = make_job("delayed")
    add_attempt(job, error="SMTPServerDisconnected", message="mailbox full")
    make_job("delayed")
    assert ids("error:smtpserver", operator) == ids('error:"mailbox full"', operator) == {job.pk}


CAUSE = "EmailNotSent: SMTPRecipientsRefused 550"


@pytest.mark.parametrize(
    "text",
    [
        *('"smtprecipientsrefused 550"', f'"{CAUSE}"', "SMTPRecipientsRefused succeed"),
        *('error:"smtprecipientsrefused 550"', 'state:failed error:"refused 550"'),
    ],
)
def test_a_failure_is_found_by_its_cause_as_the_pages_name_it(operator: User, text: str) -> None:
    wanted = make_job("failed", reason="EmailNotSent: 550-5.1.1 unknown", cause=CAUSE)
    make_job("failed", cause="ConnectionError: no route to #")
    make_job("waiting", cause=CAUSE)
    assert ids(text, operator) == {wanted.pk}


def test_a_failure_of_a_cause_can_be_left_out(operator: User) -> None:
    make_job("failed", cause=CAUSE)
    other = make_job("failed", cause="ConnectionError: no route to #")
    for text in ('-error:"refused 550"', '-"refused 550"'):
        assert ids(text, operator) == {other.pk}


def test_a_text_with_the_signs_of_a_pattern_is_looked_for_as_it_is_in_causes(operator: User) -> None:
    wanted = make_job("failed", cause="ValueError: 100 % of a_b")
    make_job("failed", cause="ValueError: 100 of axb")
    for text in ('error:"100 %"', 'error:"a_b"', '"0 % of"'):
        assert ids(text, operator) == {wanted.pk}


def test_a_worker_is_found_by_its_host_and_by_the_attempts_that_it_made(operator: User) -> None:
    running = make_job("active", worker_id=make_worker(hostname="web-7").pk)
    failed = make_job("failed")
    add_attempt(failed, worker_name="web-7.4711")
    make_job("active")
    assert ids("worker:web-7", operator) == {running.pk, failed.pk}


@pytest.mark.parametrize(("most", "of"), [("_MOST_NAMES", conditions), ("_MOST_CAUSES", causes)])
def test_where_names_are_too_many_each_row_is_looked_into(
    operator: User, monkeypatch: pytest.MonkeyPatch, most: str, of: Any
) -> None:
    wanted = make_job("failed", cause=CAUSE)
    add_attempt(wanted, worker_name="web-7.4711")
    add_attempt(make_job("failed", cause="ValueError"), worker_name="web-8.4711")
    monkeypatch.setattr(of, most, 1)
    for text in ("worker:WEB-7", 'error:"refused 550"', '"refused 550"'):
        assert ids(text, operator) == {wanted.pk}


def test_since_is_when_a_failed_job_failed_and_else_when_it_was_created(operator: User) -> None:
    now = database_now("default")
    old = make_job("failed", created_at=now - timedelta(days=9), finished_at=now - timedelta(minutes=5))
    new = make_job("failed", finished_at=now - timedelta(days=3), created_at=now - timedelta(minutes=5))
    assert ids("state:failed since:2h", operator) == {old.pk}
    assert ids("since:2h", operator) == {new.pk}
    assert ids("state:failed until:2d", operator) == {new.pk}


def test_every_word_is_required(operator: User) -> None:
    wanted = make_job("failed", queue="reminders", payload=ANNA)
    make_job("failed", queue="email", payload=ANNA)
    make_job("failed", queue="reminders", payload=OTHER)
    assert ids("state:failed queue:reminders args.user_id:5", operator) == {wanted.pk}


def test_no_worker_of_that_name_is_forgotten(operator: User) -> None:
    alive = {"pid": 1, "queues": ["email"], "heartbeat_at": database_now("default")}
    workers = [Worker(name=f"web-7.{number}", hostname="web-7", **alive) for number in range(130)]
    Worker.objects.bulk_create(workers)
    jobs = {make_job("active", worker_id=worker.pk).pk for worker in workers}
    assert ids("worker:web-7", operator) == jobs
    assert ids("-worker:web-7", operator) == set()


# Text ----------------------------------------------------------------------------------------------


def test_text_is_looked_for_in_errors_and_processors_at_once(operator: User) -> None:
    failed = make_job("failed", reason="EmailNotSent: skip this")
    named = make_job(processor="sample.skip")
    make_job()
    assert ids("skip", operator) == {failed.pk, named.pk}


def test_each_of_several_texts_must_be_found(operator: User) -> None:
    wanted = make_job("failed", reason="EmailNotSent: mailbox is full")
    make_job("failed", reason="EmailNotSent: mailbox is gone")
    assert ids("mailbox full", operator) == {wanted.pk}


@pytest.mark.parametrize("state", ["waiting", "delayed", "active", "stuck", "failed", "completed", "skipped"])
def test_a_state_can_be_left_out(operator: User, state: str) -> None:
    jobs = {word: make_job(word).pk for word in ("waiting", "delayed", "stuck", "failed", "skipped")}
    assert ids(f"-state:{state}", operator) == set(jobs.values()) - ids(f"state:{state}", operator)


def test_an_error_and_a_worker_can_be_left_out(operator: User) -> None:
    failed, waiting = make_job("failed", reason="EmailNotSent: refused"), make_job()
    add_attempt(failed, worker_name="web-7")
    for text in ("-error:refused", "-worker:web-7", "NOT refused", "-processor:nothing -refused"):
        assert ids(text, operator) == {waiting.pk}


def test_what_is_left_out_is_no_list_that_grows_with_the_table(operator: User) -> None:
    make_job("completed")
    search = parse("-state:completed -error:refused -refused")
    assert isinstance(search, Search)
    found: Any = find_jobs(Job.objects.all(), search, operator)
    assert "UNION" not in str(found.jobs.query)
    assert "NOT IN" not in str(found.jobs.query)


def test_text_can_be_left_out(operator: User) -> None:
    make_job("failed", reason="EmailNotSent: mailbox is full")
    wanted = make_job("failed", reason="EmailNotSent: refused")
    assert ids("EmailNotSent -mailbox", operator) == {wanted.pk}


# What another app registers ------------------------------------------------------------------------


@pytest.fixture
def customers(operator: User) -> Iterator[None]:
    """A third app, whose customers have orders."""

    def found(users: list[User]) -> list[FoundRecord]:
        return [FoundRecord(user, user.username, arguments={"user_id": user.pk}) for user in users]

    def find(searches: Any, most: int) -> list[list[FoundRecord]]:
        users = list(User.objects.all())
        named = ([one for one in users if all(word in one.username for word in words)] for words in searches)
        return [found(some)[:most] for some in named]

    def with_addresses(addresses: Any) -> list[list[FoundRecord]]:
        return [found(list(User.objects.filter(email=address))) for address in addresses]

    register_source(RecordSource("shop.customers", "Customers", "auth.view_user", find, with_addresses))
    yield
    unregister_source("shop.customers")


@pytest.mark.usefixtures("customers")
def test_text_finds_the_jobs_about_a_record_of_a_third_app(operator: User) -> None:
    anna = User.objects.create_user("customer anna")
    about = make_job(subject=f"auth.user:{anna.pk}")
    make_job()
    for text in ("anna", "customer anna", '"customer anna"', "about:anna"):
        assert ids(text, operator) == {about.pk}
    found = _found("customer", operator)
    assert [one.title for one in found.records["shop.customers"]] == ["customer anna"]


@pytest.mark.usefixtures("customers")
def test_a_word_within_a_processors_name_does_not_hide_the_records_of_that_name(operator: User) -> None:
    skip = User.objects.create_user("skip")
    about, named = make_job(subject=f"auth.user:{skip.pk}"), make_job(processor="sample.skip")
    assert ids("skip", operator) == {about.pk, named.pk}


@pytest.mark.usefixtures("customers")
def test_a_record_and_a_processor_find_the_jobs_of_both(operator: User) -> None:
    anna = User.objects.create_user("anna")
    wanted = make_job(subject=f"auth.user:{anna.pk}", processor="sample.skip")
    make_job(subject=f"auth.user:{anna.pk}")
    make_job(processor="sample.skip")
    assert ids("anna skip", operator) == {wanted.pk}


@pytest.mark.usefixtures("customers")
def test_an_address_finds_the_jobs_whose_arguments_name_its_person(operator: User) -> None:
    anna = User.objects.create_user("anna", "anna@shop.example")
    wanted = make_job(payload={"user_id": anna.pk})
    make_job(payload={"user_id": anna.pk + 1})
    assert ids("email:anna@shop.example", operator) == {wanted.pk}


@pytest.mark.usefixtures("customers")
def test_records_are_not_found_by_who_may_not_see_them(viewer: User) -> None:
    make_job(subject=f"auth.user:{User.objects.create_user('anna').pk}")
    assert ids("anna", viewer) == set()
    assert _found("anna", viewer).records == {}


@pytest.mark.usefixtures("customers")
def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateSource, match=r"shop\.customers"):
        register_source(RecordSource("shop.customers", "Others", "auth.view_user", lambda searches, most: []))


# What is not told ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["args.user_id:5", "-args.user_id:5", "email:anna@example.com"])
def test_payloads_are_not_looked_into_for_who_may_not_read_them(viewer: User, text: str) -> None:
    make_job(payload=ANNA)
    found = _found(text, viewer)
    assert isinstance(found, Unreadable)
    assert "jobqueue.view_payload" in str(found)


@pytest.mark.parametrize("text", ["anna", "error:anna", "error:anna@example.com"])
def test_an_address_in_an_error_is_not_spelled_out_by_who_sees_it_hidden(
    viewer: User, operator: User, text: str
) -> None:
    job = make_job("failed", reason="SMTPError: <anna@example.com> is unknown")
    add_attempt(job, message="<anna@example.com> is unknown")
    assert ids(text, viewer) == set()
    assert ids(text, operator) == {job.pk}


def test_an_address_in_a_cause_is_not_spelled_out_by_who_sees_it_hidden(viewer: User, operator: User) -> None:
    job = make_job("failed", cause="SMTPError: anna%40example.com")
    for text in ("anna", "error:anna"):
        assert ids(text, viewer) == set()
        assert ids(text, operator) == {job.pk}


def test_an_address_in_a_subject_is_not_spelled_out_by_who_sees_it_hidden(viewer: User) -> None:
    job = make_job(subject="shop.customer:anna@example.com")
    assert ids("shop.customer:an", viewer) == set()
    assert ids("shop.customer:anna@example.com", viewer) == {job.pk}


def test_text_does_not_look_into_payloads(operator: User) -> None:
    make_job(payload={"note": "secret"})
    assert ids("secret", operator) == set()


# Size and odd rows ---------------------------------------------------------------------------------


def test_what_no_index_answers_is_looked_for_among_the_newest_only_and_says_so(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make_job(payload=ANNA), make_job(payload=ANNA)
    assert not _found("args.user_id:5", operator).newest_only
    monkeypatch.setattr(conditions, "NEWEST", 1)
    assert ids("args.user_id:5", operator) == {new.pk}
    assert _found("args.user_id:5", operator).newest_only
    assert ids(f"id:{old.pk} args.user_id:5", operator) == {old.pk}
    assert not _found("state:waiting", operator).newest_only


@pytest.mark.parametrize(("column", "what", "value"), HOSTILE)
def test_a_row_that_nobody_should_have_written_does_no_harm(
    operator: User, column: str, what: str, value: str
) -> None:
    wanted = make_job(payload=ANNA)
    spoil(make_job(payload=OTHER), column, value)
    assert wanted.pk in ids("args.user_id:5", operator)
    assert wanted.pk in ids("email:anna@example.com", operator)


HOSTILE_TEXTS = (
    *("<script>alert(1)</script>", "{{", "{%", "\u202eabc", "%", "_", "'; drop table", "9" * 40, "\uffff"),
)


@pytest.mark.parametrize("text", HOSTILE_TEXTS)
@pytest.mark.parametrize("name", ["", "error:", "args.a:", "about:", "worker:", "queue:", "processor:"])
def test_hostile_text_finds_nothing(operator: User, name: str, text: str) -> None:
    make_job("failed")
    assert ids(f'{name}"{text}"', operator) == set()
