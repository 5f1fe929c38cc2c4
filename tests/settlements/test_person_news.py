"""Jobs that lead to letters for a person by the news of a settlement: the page does not leave them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job, subject_of
from jobqueue.testing import run_job
from settlements import previews
from settlements.models import Settlement
from tests.jobqueue.admin.steps import make_job, text_of
from tests.settlements.admin_steps import USERS
from tests.settlements.steps import EMAIL, NOTIFICATION, REMINDER, domain_settings, forget_jobs

pytestmark = pytest.mark.django_db(databases=["default", "other"])

NOTHING = "Nothing waits for this person."


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings, settlement: Settlement) -> None:
    settings.SETTLEMENTS = domain_settings()
    forget_jobs()


def news(settlement: Settlement, state: str = "waiting", **payload: Any) -> Job:
    """A job that tells of what became of the settlement."""
    said = {"settlement_id": str(settlement.pk), **payload}
    return make_job(
        state, processor=NOTIFICATION, queue="settlement", subject=subject_of(settlement), payload=said
    )


def page_of(client: Client, person: User) -> Any:
    return client.get(f"{USERS}{person.pk}/letters/")


def rows_of(client: Client, person: User, name: str) -> list[tuple[int, str]]:
    return [(row["job"].pk, row["what"]) for row in page_of(client, person).context[name]]


def test_every_processor_that_leads_to_letters_is_one_that_the_page_looks_for(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    assert {EMAIL, REMINDER, NOTIFICATION} == set(previews.PROCESSORS)
    payload = {"user_id": payer.pk, "settlement_id": str(settlement.pk)}
    jobs = {
        make_job(processor=name, subject=subject_of(settlement), payload=payload).pk
        for name in previews.PROCESSORS
    }
    assert {pk for pk, _what in rows_of(admin_client, payer, "coming")} == jobs


@pytest.mark.parametrize(
    ("event", "for_payer", "for_payee"),
    [
        ("settlement_completed", True, True),
        ("payment_received", False, True),
        ("payment_failed", True, False),
    ],
)
def test_news_that_waits_will_come_for_whom_its_letters_are(
    admin_client: Client,
    settlement: Settlement,
    payer: User,
    payee: User,
    event: str,
    for_payer: bool,
    for_payee: bool,
) -> None:
    job = news(settlement, event=event)
    expected = [(job.pk, event.replace("_", " "))]
    for person, is_for in ((payer, for_payer), (payee, for_payee)):
        assert rows_of(admin_client, person, "coming") == (expected if is_for else [])
        panel = text_of(admin_client.get(f"{USERS}{person.pk}/change/"))
        assert (NOTHING in panel) is (NOTHING in text_of(page_of(admin_client, person))) is not is_for


def test_news_that_is_due_waits_and_is_not_delayed(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    news(settlement, event="settlement_completed")
    assert ">waiting<" in page_of(admin_client, payer).context["coming"][0]["state"]


def test_news_of_no_event_is_that_of_the_status(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    job = news(settlement)
    assert rows_of(admin_client, payer, "coming") == [(job.pk, "news of the settlement")]


def test_news_for_one_person_is_that_person_s(
    admin_client: Client, settlement: Settlement, payer: User, payee: User
) -> None:
    news(settlement, event="settlement_released", user_id=payee.pk)
    assert rows_of(admin_client, payer, "coming") == []
    assert len(rows_of(admin_client, payee, "coming")) == 1


@pytest.mark.parametrize("state", ["failed", "cancelled", "skipped"])
def test_news_that_ended_without_letters_is_told_with_the_reason(
    admin_client: Client, settlement: Settlement, payer: User, state: str
) -> None:
    job = news(settlement, state, event="settlement_completed")
    [row] = page_of(admin_client, payer).context["held"]
    assert (row["job"].pk, bool(row["reason"])) == (job.pk, True)


def test_news_that_was_told_is_none_that_was_not(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    news(settlement, "completed", event="settlement_completed")
    assert rows_of(admin_client, payer, "held") == []


def test_news_that_failed_for_the_other_one_alone_is_not_that_person_s(
    admin_client: Client, settlement: Settlement, payer: User, payee: User
) -> None:
    User.objects.filter(pk=payee.pk).update(email="no address")
    job = news(settlement, event="settlement_updated")
    run_job(job)
    assert job.state == "failed"
    assert rows_of(admin_client, payer, "held") == []
    assert [pk for pk, _what in rows_of(admin_client, payee, "held")] == [job.pk]


def test_the_page_takes_few_questions_with_news(
    admin_client: Client,
    settlement: Settlement,
    payer: User,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    for state in ("waiting", "failed", "failed"):
        news(settlement, state, event="settlement_updated")
    page_of(admin_client, payer)
    with django_assert_max_num_queries(15):
        page_of(admin_client, payer)
