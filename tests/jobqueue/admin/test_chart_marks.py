"""What is marked on charts is of the kind of what was done."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.test import RequestFactory

from jobqueue.admin import chart_marks
from jobqueue.charting.reading import Chosen
from jobqueue.models.bulk_verbs import BulkVerb
from jobqueue.operating.limits import change_limits
from jobqueue.operating.pausing import pause_and_log
from jobqueue.sql.clock import database_now
from tests.jobqueue.models.test_bulk import ask

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda request: pause_and_log(request, "email", "SMTP rate limit"), "pause"),
        (lambda request: change_limits(request, "email", {"late_after": 60}), "limit"),
        (lambda request: change_limits(request, "email", {"rate_limit": 5}, "while paused"), "limit"),
    ],
)
def test_a_mark_is_of_the_kind_of_what_was_done_whatever_was_said(
    admin_user: User, rf: RequestFactory, change: Callable[[HttpRequest], object], kind: str
) -> None:
    request = rf.get("/")
    request.user = admin_user
    change(request)
    [mark] = chart_marks.happened(database_now("default") - timedelta(hours=1), None, Chosen()).shown
    assert mark.kind == kind


@pytest.mark.parametrize(("changed", "said"), [(0, "0 of 8 jobs"), (8, "8 of 8 jobs")])
def test_the_mark_of_a_bulk_action_says_what_it_changed(changed: int, said: str) -> None:
    action = ask(verb=BulkVerb.MOVE, expected=8, changed=changed, asked_by="pia")
    [mark] = chart_marks.happened(action.asked_at - timedelta(minutes=1), None, Chosen()).shown
    assert mark.text == f"bulk action {action.pk}: move, {said}, by pia"
