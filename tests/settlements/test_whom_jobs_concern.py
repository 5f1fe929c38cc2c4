"""Whom failed jobs about users and settlements concern: each person once, however many jobs there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.translation import override

from jobqueue.models import Job, subject_of
from jobqueue.operating import concerned
from jobqueue.operating.concerns import Groups
from jobqueue.operating.recent import Recent
from settlements.admin.concerns import sums_of_records
from settlements.jobs import add_email_notification_job
from settlements.models import Settlement
from tests.jobqueue.admin.steps import CAUSES, JOBS, make_job, operator, text_of
from tests.jobqueue.admin.test_calendar import day_url, tomorrow
from tests.jobqueue.api.steps import get

pytestmark = pytest.mark.django_db(databases=["default", "other"])
CAUSE = "OSError"
START = "/admin/jobqueue/bulkaction/start/"
SEE = ("settlements.view_settlement", "settlements.view_person")
Make = Callable[..., Settlement]


@pytest.fixture(params=["row by row", "added up"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """As of few jobs, whose records are read, and as of many, whose records the database adds up."""
    monkeypatch.setattr(concerned, "_recent", Recent(60, 8))
    if request.param == "added up":
        for name in ("jobqueue.admin.cause_pages._MOST_CONCERNED", "jobqueue.api.causes.MOST_SUBJECTS"):
            monkeypatch.setattr(name, 0)
        monkeypatch.setattr(concerned, "MOST_SUBJECTS", 1)
    return str(request.param)


def _users(number: int = 4) -> list[User]:
    return [User.objects.create_user(f"user{one}", f"user{one}@example.com") for one in range(number)]


def _fail(*subjects: object) -> None:
    for one in subjects:
        make_job("failed", cause=CAUSE, subject=one if isinstance(one, str) else subject_of(one))  # type: ignore[arg-type]


def _told(client: Client) -> Any:
    """What the API says of the cause."""
    return get(client, f"causes/concerned/?cause={CAUSE}")["concerned"]


def _in_plan(client: Client) -> str:
    return str(get(client, f"bulk/plan/?verb=retry&cause={CAUSE}")["concerned"])


def _on_page(client: Client) -> Sequence[tuple[str, str]]:
    found: Sequence[tuple[str, str]] = client.get(f"{CAUSES}concerned/").context["concerned"]
    return found


def _who_may(*permissions: str) -> Client:
    return operator("view_job", "retry_job", *permissions)


# Users --------------------------------------------------------------------------------------------


def test_letters_about_users_concern_these(either_way: str) -> None:
    for user in _users(3):
        add_email_notification_job(user.pk, user.email, "Hello", "settlement_reminder", {})
    Job.objects.update(state="failed", cause=CAUSE, attempt=1, failures=1)
    client = _who_may(*SEE)
    assert _told(client) == {"people": 3, "amounts": {}, "at_least": False}
    assert _in_plan(client) == "3 people"
    assert list(_on_page(client)) == [(CAUSE, "3 people")]


def test_a_user_of_several_jobs_is_one_person(either_way: str) -> None:
    [user] = _users(1)
    _fail(user, user, user)
    assert _in_plan(_who_may(*SEE)) == "1 person"


def test_users_and_settlements_are_added_up_as_people(either_way: str, make_settlement: Make) -> None:
    settlement = make_settlement()
    _fail(*_users(4), settlement)
    client = _who_may(*SEE)
    amount = settlement.amount
    assert _in_plan(client) == f"6 people, {amount.amount:,.2f} {amount.currency}"
    amounts = {str(amount.currency): f"{amount.amount:.2f}"}
    assert _told(client) == {"people": 6, "amounts": amounts, "at_least": False}


def test_who_is_concerned_as_a_user_and_as_a_payer_counts_once(
    either_way: str, make_settlement: Make, payer: User, payee: User
) -> None:
    _fail(payer, payee, make_settlement(), make_settlement())
    assert _in_plan(_who_may(*SEE)).startswith("2 people, ")


def test_payers_and_payees_are_called_so_where_no_user_is_among_them(
    either_way: str, make_settlement: Make
) -> None:
    _fail(make_settlement())
    make_job("failed", cause="KeyError", subject=subject_of(_users(1)[0]))
    assert _in_plan(_who_may(*SEE)).startswith("2 payers and payees, ")


def test_it_is_said_in_german(either_way: str, make_settlement: Make) -> None:
    _fail(*_users(1), make_settlement(), "")
    client = _who_may(*SEE)
    with override("de"):
        text = text_of(client.get(f"{CAUSES}concerned/", headers={"Accept-Language": "de"}))
    assert "mindestens 3 Personen, " in text


# At least -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "shop.invoice:7",
        "settlements.settlement:no-key",
        "settlements.settlement:11111111-1111-1111-1111-111111111111",
        "auth.user:987654321",
        "auth.user:nobody",
        "auth.user:",
        f"auth.user:{10**30}",
        "AUTH.USER:1",
    ],
)
def test_of_jobs_that_are_about_nobody_who_is_known_it_says_at_least(either_way: str, subject: str) -> None:
    _fail(*_users(2), subject)
    client = _who_may(*SEE)
    assert _in_plan(client) == "at least 2 people"
    assert _told(client) == {"people": 2, "amounts": {}, "at_least": True}
    assert list(_on_page(client)) == [(CAUSE, "at least 2 people")]


def test_the_page_of_causes_says_at_least_of_that_cause_alone() -> None:
    first, second = _users(2)
    _fail(first, "")
    make_job("failed", cause="KeyError", subject=subject_of(second))
    causes = _who_may(*SEE).get(CAUSES).context["causes"]
    assert {one.name: one.concerned for one in causes} == {CAUSE: "at least 1 person", "KeyError": "1 person"}


def test_nothing_is_said_where_nobody_is_known(either_way: str) -> None:
    _fail("", "shop.invoice:7")
    client = _who_may(*SEE)
    assert (_told(client), _in_plan(client)) == (None, "")


def test_records_of_another_database_than_the_jobs_are_not_added_up(admin_user: User) -> None:
    request = HttpRequest()
    request.user = admin_user
    assert sums_of_records(Groups(Job.objects.using("other").failed(), is_by_cause=True), request) is None


# Who may see them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("permission", ["settlements.view_person", "auth.view_user", "auth.change_user"])
def test_who_may_see_people_alone_is_told_of_users_alone(
    either_way: str, permission: str, make_settlement: Make
) -> None:
    _fail(*_users(2), make_settlement())
    assert _in_plan(_who_may(permission)) == "at least 2 people"


def test_who_may_see_settlements_alone_is_told_of_payers_and_payees_alone(
    either_way: str, make_settlement: Make
) -> None:
    _fail(*_users(2), make_settlement())
    assert _in_plan(_who_may("settlements.view_settlement")).startswith("at least 2 payers and payees, ")


def test_users_are_not_told_to_who_may_not_see_people(either_way: str) -> None:
    _fail(*_users(2))
    client = _who_may("settlements.view_settlement")
    assert (_told(client), _in_plan(client)) == (None, "")


# Everywhere ---------------------------------------------------------------------------------------


def test_a_mixed_group_takes_no_more_statements_than_one_of_settlements(
    either_way: str, make_settlement: Make
) -> None:
    client = _who_may(*SEE)
    _fail(make_settlement(), make_settlement())
    _in_plan(client)
    numbers = []
    for more in ([], [*_users(3), "", "shop.invoice:7"]):
        _fail(*more)
        with CaptureQueriesContext(connection) as asked:
            _in_plan(client)
        numbers.append(len(asked))
    assert numbers[1] <= numbers[0]


def test_the_question_before_a_bulk_action_says_it(either_way: str) -> None:
    _fail(*_users(3))
    text = text_of(_who_may(*SEE).post(START, {"verb": "retry", "cause": CAUSE}))
    assert "They are about 3 people." in text


def test_the_question_before_one_job_is_copied_says_it() -> None:
    [user] = _users(1)
    job = make_job("failed", processor="email.notification", subject=subject_of(user))
    text = text_of(operator("view_job", "view_payload", "copy_job", *SEE).get(f"{JOBS}{job.pk}/copy/"))
    assert "up to 1 e-mail, 1 person." in text


def test_the_question_before_a_change_of_a_day_says_it(either_way: str) -> None:
    first, second = _users(2)
    for user in (first, second, second):
        make_job(processor="email.notification", subject=subject_of(user), run_at=tomorrow())
    client = operator("view_job", "cancel_job", *SEE)
    assert "up to 3 e-mails, 2 people." in text_of(client.get(day_url(tomorrow(), "cancel/")))


def test_the_command_says_it(either_way: str, capsys: pytest.CaptureFixture[str]) -> None:
    _who_may(*SEE)
    _fail(*_users(3), "")
    call_command("jobqueue_jobs", "state:failed", "--verb", "retry", "--as", "operator", "--yes")
    assert "at least 3 people" in capsys.readouterr().out
