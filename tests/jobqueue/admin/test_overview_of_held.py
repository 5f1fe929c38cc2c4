"""What is held, and past its time, on the overview."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from jobqueue.models import holding
from tests.jobqueue.admin.steps import make_job, make_worker
from tests.jobqueue.admin.test_overview import REGION, _ago, _findings, _no_finders

__all__ = ["_no_finders"]
# On PostgreSQL other threads count what is set aside.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])


def _hold(number: int, **fields: Any) -> None:
    for _ in range(number):
        holding.hold(make_job("delayed", **fields), "pia", "wrong text", "default")


@pytest.mark.usefixtures("_no_finders")
def test_jobs_that_are_held_past_their_time_are_a_finding_with_the_way_to_them(admin_client: Client) -> None:
    make_worker()
    _hold(1)
    assert _findings(admin_client) == []

    _hold(2, run_at=_ago(hours=1))
    assert _findings(admin_client) == ["3 jobs are held, and 2 of them are past their time."]
    [shown] = admin_client.get(REGION).context["findings"]
    assert (shown.finding.since or _ago()) < _ago(minutes=59)
    listed = admin_client.get(shown.finding.url)
    assert len(listed.context["cl"].result_list) == 3


@pytest.mark.usefixtures("_no_finders")
@pytest.mark.parametrize(
    ("number", "text"),
    [(1, "1 job is held and past its time."), (2, "2 jobs are held and past their time.")],
)
def test_where_all_that_is_held_is_past_its_time_it_says_so(
    admin_client: Client, number: int, text: str
) -> None:
    _hold(number, run_at=_ago(hours=1))
    assert _findings(admin_client) == [text]
