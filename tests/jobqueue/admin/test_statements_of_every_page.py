"""What a page asks the database, all counted: who asks, what they may do, what is paused, the page itself."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote_plus

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from jobqueue.models import Attempt, AttemptLog, BulkAction, Job, ProcessorLimits, Queue
from settlements.models import EmailDelivery, Settlement
from tests.browser import scene
from tests.jobqueue.admin.steps import add_attempt, make_job

MOST = 15
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])
SEARCHES = (
    "Pia",
    "worker:web-1",
    "user77 -mailbox",
    "-user77 -user78",
    "email:payer@example.com",
    "about:Rent",
    "about:Rent -email:payer@example.com state:failed since:2h",
    'error:"mailbox full" -error:timeout worker:web-1 state:failed since:2h',
)


@pytest.fixture
def operator() -> Client:
    """Who may do everything by groups and permissions: no superuser, of whom nobody asks what they may."""
    user = User.objects.create_user("operator", is_staff=True)
    user.groups.set(Group.objects.all())
    user.user_permissions.set(Permission.objects.all())
    client = Client()
    client.force_login(user)
    return client


def statements(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as asked:
        answer = client.get(address)
    assert answer.status_code in (200, 302), (address, answer.status_code)
    return len(asked)


def too_many(client: Client, pages: dict[str, str]) -> dict[str, int]:
    """The pages that ask more than MOST, when nothing of the process has to be found out any more."""
    for address in pages.values():
        client.get(address)
    found = {name: statements(client, address) for name, address in pages.items()}
    return {name: number for name, number in found.items() if number > MOST}


def test_no_page_asks_more_than_fifteen_while_a_queue_is_paused(
    settlement: Settlement, payer: User, operator: Client
) -> None:
    site = scene.build(settlement, payer)
    assert too_many(operator, scene.pages_of(site)) == {}


def test_no_search_asks_more_than_fifteen(settlement: Settlement, payer: User, operator: Client) -> None:
    scene.build(settlement, payer)
    jobs = reverse("admin:jobqueue_job_changelist")
    assert too_many(operator, {words: f"{jobs}?q={quote_plus(words)}" for words in SEARCHES}) == {}


def test_the_overview_asks_no_more_while_reminders_are_late(
    settlement: Settlement, payer: User, operator: Client
) -> None:
    site = scene.build(settlement, payer)
    Job.objects.filter(pk=site.reminder.pk).update(run_at=timezone.now() - timedelta(hours=1))
    overview = reverse("admin:app_list", args=["jobqueue"])
    assert too_many(operator, {"overview": overview}) == {}
    assert "1 reminder was due and is not sent" in operator.get(overview).content.decode()


@pytest.mark.parametrize("state", ["failed", "delayed", "active"])
def test_a_letter_that_went_through_much_asks_no_more(
    state: str, settlement: Settlement, payer: User, operator: Client
) -> None:
    scene.build(settlement, payer)
    job = much_happened_to(make_job(state, processor="email.notification", queue="email"), settlement)
    assert too_many(operator, {state: reverse("admin:jobqueue_job_change", args=[job.pk])}) == {}


def much_happened_to(job: Job, settlement: Settlement) -> Job:
    """It failed, logged, wrote a reminder's letter, was retried in bulk, and others are about its record."""
    action = BulkAction.objects.order_by("-pk").first()
    assert action is not None
    Job.objects.filter(pk=job.pk).update(
        subject=f"settlements.settlement:{settlement.pk}",
        bulk_action=action.pk,
        attempt=2,
        started_at=timezone.now() - timedelta(minutes=5),
        payload={"template_type": "reminder_first", "settlement_id": str(settlement.pk)},
    )
    add_attempt(job, message="550 no such mailbox", traceback="Traceback:")
    AttemptLog.objects.create(job=job, number=1, lines=[[0.1, "WARNING", "mail", "refused"]])
    EmailDelivery.objects.create(message_id=f"<{job.pk}@x>", job=job, status="failed", error="550")
    make_job("stuck", subject=f"settlements.settlement:{settlement.pk}")
    return Job.objects.get(pk=job.pk)


def test_a_job_that_waits_for_limits_asks_no_more(
    settlement: Settlement, payer: User, operator: Client
) -> None:
    scene.build(settlement, payer)
    Queue.objects.filter(pk="email").update(paused=False, rate_limit=10, concurrency_limit=1)
    ProcessorLimits.objects.update_or_create(
        pk="email.notification", defaults={"rate_limit": 10, "concurrency_limit": 1}
    )
    about = f"settlements.settlement:{settlement.pk}"
    job = make_job("waiting", processor="email.notification", queue="email", subject=about)
    assert too_many(operator, {"limited": reverse("admin:jobqueue_job_change", args=[job.pk])}) == {}


@pytest.mark.parametrize(
    ("name", "verb"), [("failedjob", "retry"), ("failedjob", "delete"), ("stuckjob", "fail")]
)
def test_the_question_before_an_action_on_a_whole_list_takes_no_more(
    name: str, verb: str, settlement: Settlement, payer: User, operator: Client
) -> None:
    scene.build(settlement, payer)
    address = reverse(f"admin:jobqueue_{name}_changelist")
    asked = {"action": verb, "_selected_action": "0", "select_across": "1"}
    operator.post(address, asked)
    with CaptureQueriesContext(connection) as seen:
        assert operator.post(address, asked).status_code == 200
    assert len(seen) <= MOST


def test_what_was_never_tried_is_not_asked_for_its_failures(operator: Client) -> None:
    job = make_job("waiting")
    with CaptureQueriesContext(connection) as asked:
        operator.get(reverse("admin:jobqueue_job_change", args=[job.pk]))
    told = [query["sql"] for query in asked if f'FROM "{Attempt._meta.db_table}"' in query["sql"]]
    assert told and all("EXISTS" in sql for sql in told)
