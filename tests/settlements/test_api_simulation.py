"""`/api/simulation/`: the same numbers as on the page, and nothing is written or sent."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements import simulation
from settlements.models import Settlement
from settlements.reminders import current_policy, day_of
from tests.jobqueue.admin.steps import operator
from tests.jobqueue.api.steps import ask, get, problem
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])

VIEW = "settlements.view_settlement"


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def test_it_counts_the_letters_that_wait_by_day_and_stage(settlement: Settlement) -> None:
    run_soon()
    expected = sorted(day_of(job.run_at, current_policy()) for job in waiting_of(settlement, REMINDER))
    jobs = Job.objects.count()
    shown = get(operator(VIEW), "simulation/")
    assert (len(shown["days"]), shown["settlements"], shown["next"]) == (30, 1, None)
    with_letters = [one for one in shown["days"] if one["letters"]]
    assert [one["day"] for one in with_letters] == [day.isoformat() for day in expected]
    assert {one["people"] for one in with_letters} == {1}
    assert Job.objects.count() == jobs


def test_fewer_days_and_another_policy_can_be_tried(settlement: Settlement) -> None:
    run_soon()
    client = operator(VIEW)
    assert len(get(client, "simulation/?days=3")["days"]) == 3
    tried = get(client, "simulation/?follow_up=2,4&overdue=1")
    stages = [stage for one in tried["days"] for stage in one["letters"]]
    assert (stages.count("follow_up"), stages.count("overdue")) == (2, 1)


def test_pages_reach_every_settlement_once(
    make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulation, "MOST", 2)
    for number in range(3):
        make_settlement(description=str(number))
    client = operator(VIEW)
    first = get(client, "simulation/?days=5")
    second = get(client, first["next"].removeprefix("http://testserver/api/"))
    assert (first["settlements"], second["settlements"], second["next"]) == (2, 1, None)
    assert len(second["days"]) == 5


@pytest.mark.parametrize(
    "query", ["days=0", "days=31", "follow_up=x", "overdue=3,1", "overdue=999", "cursor=x", "cursor=WyJ4Il0"]
)
def test_what_cannot_be_simulated_names_the_parameter(settlement: Settlement, query: str) -> None:
    refused = problem(ask(operator(VIEW), "GET", f"simulation/?{query}"), 400)
    assert [one["field"] for one in refused["errors"]] == [query.partition("=")[0]]


def test_only_who_sees_settlements_sees_it() -> None:
    refused = problem(ask(operator(), "GET", "simulation/"), 403)
    assert refused["detail"] == f"That takes the permission {VIEW}."
