"""An error is found by the words in which pages show it, whatever its attempts keep."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from tests.jobqueue.admin.steps import add_attempt, make_job
from tests.jobqueue.searching.test_finding import ids, operator, viewer

__all__ = ["operator", "viewer"]
pytestmark = pytest.mark.django_db(databases=["default", "other"])

REFUSED = "SMTPRecipientsRefused: 451 4.7.1 greylisted, come again"


@pytest.mark.parametrize(
    "text",
    ['error:"451 4.7.1"', 'error:"SMTPRecipientsRefused: 451"', f'error:"{REFUSED}"'],
)
def test_an_error_is_found_as_it_is_shown_of_a_job_that_is_tried_again(operator: User, text: str) -> None:
    told = make_job("delayed", attempt=2, reason=REFUSED)
    add_attempt(told, error="SMTPRecipientsRefused", message="{'slow@x.org': (451, b'4.7.1 greylisted')}")
    ran = make_job("completed", attempt=2)
    add_attempt(ran, error="SMTPRecipientsRefused", message="451 4.7.1 greylisted, come again")
    other = make_job("delayed", attempt=2, reason="1 payments are unsettled")
    add_attempt(other, error="SMTPRecipientsRefused", message="550 no such mailbox")
    assert ids(text, operator) == {told.pk, ran.pk}
    assert ids(f"-{text}", operator) == {other.pk}


def test_who_may_not_read_payloads_finds_no_address_in_the_reason_of_what_is_tried_again(
    viewer: User,
) -> None:
    job = make_job("delayed", attempt=2, reason="SMTPRecipientsRefused: 451 slow@x.org is full")
    add_attempt(job, error="SMTPRecipientsRefused", message="451 slow@x.org is full")
    assert ids("error:slow", viewer) == ids('error:"SMTPRecipientsRefused: 451 slow"', viewer) == set()
    assert ids("error:SMTPRecipientsRefused", viewer) == {job.pk}
