"""Actions on stuck jobs whose stop was asked for: what is told is what happens."""

from __future__ import annotations

import pytest
from django.test import Client

from jobqueue.models import Job
from jobqueue.operating import consequences
from jobqueue.sql.clock import database_now
from tests.jobqueue.admin.steps import choose, confirm, entries_of, make_job, text_of

pytestmark = pytest.mark.django_db


def _stopping(state: str = "stuck") -> Job:
    return make_job(state, stop_asked_at=database_now("default"), stop_reason="stopped by ann: wrong amount")


@pytest.mark.parametrize(
    ("action", "label", "done"),
    [("release", "Put back on the road", "put back on the road"), ("fail", "Fail", "failed")],
)
def test_a_stuck_job_that_was_to_stop_is_said_to_have_ended_as_cancelled(
    admin_client: Client, action: str, label: str, done: str
) -> None:
    to_stop, other = _stopping(), make_job("stuck")
    question = text_of(choose(admin_client, action, to_stop, other))
    assert "1 of them ends as cancelled instead: its stop was asked for." in question
    assert confirm(admin_client, action, to_stop, other) == [
        f"1 job {done}.",
        "1 job ended as cancelled: its stop was asked for.",
    ]
    to_stop.refresh_from_db()
    assert to_stop.state == "cancelled"
    assert entries_of(to_stop) == [f"{label}: active → cancelled, as its stop was asked for"]


def test_of_what_was_to_stop_no_e_mail_goes_out(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(consequences._emails_by_processor, "sample.succeed", 1)
    text = text_of(choose(admin_client, "release", _stopping(), make_job("stuck")))
    assert "Up to 1 e-mail will go out." in text
