"""The reminders of the next days by a policy, on the real rows, without sending or writing anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings as DjangoSettings

from jobqueue.jobs import database_now
from jobqueue.models import Job, due_time, holding
from settlements import simulation
from settlements.addresses import bar
from settlements.models import Settlement
from settlements.reminders import current_policy, day_of
from settlements.simulation import Simulation, simulate
from tests.jobqueue.admin.steps import operator, text_of
from tests.jobqueue.api.steps import get
from tests.settlements.admin_steps import SETTLEMENTS
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def simulated(days: int = 30) -> Simulation:
    """By the policy in force, from now on."""
    return simulate(current_policy(), database_now("default"), days, "default")


def test_it_counts_the_letters_that_wait_by_day(settlement: Settlement) -> None:
    run_soon()
    expected = sorted(day_of(job.run_at, current_policy()) for job in waiting_of(settlement, REMINDER))
    found = simulated()
    assert [one.day for one in found.days if one.letters] == expected
    assert {len(one.people) for one in found.days if one.letters} == {1}


def test_what_was_cancelled_or_moved_counts_as_decided(settlement: Settlement) -> None:
    run_soon()
    first, second, *_others = sorted(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    first.cancel()
    second.move(second.run_at + timedelta(days=1))
    days = [one.day for one in simulated().days if one.letters]
    assert days[0] == day_of(second.run_at, current_policy())
    assert len(days) == 4


def test_what_is_held_stands_beside_the_letters_of_its_day(
    admin_client: Client, settlement: Settlement
) -> None:
    run_soon()
    first, *others = sorted(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    holding.hold(first, "pia", "the text is wrong", "default")
    [day] = [one for one in simulated().days if one.held]
    assert (day.day, day.held) == (day_of(due_time(first), current_policy()), 1)
    assert sum(sum(one.letters.values()) for one in simulated().days) == len(others)
    assert not day.letters and not day.people
    response = admin_client.get(f"{SETTLEMENTS}simulate/")
    assert response.context["total"] == len(others)
    assert "1 more letter is held" in text_of(response) and "held: 1 more" in text_of(response)
    days = get(operator("settlements.view_settlement"), "simulation/")["days"]
    assert [(one["held"], sum(one["letters"].values())) for one in days if one["held"]] == [(1, 0)]


@pytest.mark.parametrize(
    "ended", [{"state": "failed"}, {"state": "completed", "reason": "skipped: reminders are paused"}]
)
def test_what_was_due_and_ended_without_a_letter_is_settled(
    settlement: Settlement, ended: dict[str, str]
) -> None:
    run_soon()
    first = min(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    Job.objects.filter(pk=first.pk).update(**ended)
    moment = first.run_at + timedelta(minutes=30)
    found = simulate(current_policy(), moment, 1, "default")
    assert found.days[0].letters == {}
    Job.objects.filter(pk=first.pk).update(state="waiting", reason="")
    found = simulate(current_policy(), moment, 1, "default")
    assert found.days[0].letters == {"follow_up": 1}


def test_nobody_is_counted_whom_letters_do_not_reach(settlement: Settlement) -> None:
    bar(settlement.payer.email, "bounced", "", using="default")
    assert not any(one.letters for one in simulated().days)


def test_paused_settlements_are_left_out(settlement: Settlement) -> None:
    Settlement.objects.update(reminders_paused=True)
    assert simulated().settlements == 0


def test_it_writes_and_sends_nothing(settlement: Settlement) -> None:
    jobs = Job.objects.count()
    with CaptureQueriesContext(connection) as queries:
        simulated()
    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert (Job.objects.count(), mail.outbox) == (jobs, [])


def test_another_policy_can_be_tried(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    response = admin_client.get(f"{SETTLEMENTS}simulate/?follow_up=1,2,3,4&overdue=2")
    assert response.context["total"] == 6
    assert "Simulate reminders" in text_of(admin_client.get(SETTLEMENTS))


def test_a_policy_of_seconds_is_told_in_seconds_and_can_be_asked_for_again(
    admin_client: Client, settings: DjangoSettings
) -> None:
    settings.SETTLEMENTS = domain_settings(reminders={"FOLLOW_UP_AFTER": [10]})
    shown = admin_client.get(f"{SETTLEMENTS}simulate/").context["follow_up"]
    assert shown == "10 s"
    assert admin_client.get(f"{SETTLEMENTS}simulate/", {"follow_up": shown}).context["problems"] == []


@pytest.mark.parametrize("text", ["x", "3,2", "0", "-1", "1e9", "99999", "<script>", "1\x002", ","])
def test_what_can_be_no_policy_is_told(admin_client: Client, text: str) -> None:
    response = admin_client.get(f"{SETTLEMENTS}simulate/", {"follow_up": text})
    told = "Follow-ups, days after the beginning: whole days from 1 to 365"
    assert told in text_of(response) and "<script>1" not in text_of(response)


def test_only_who_sees_settlements_sees_it() -> None:
    assert operator().get(f"{SETTLEMENTS}simulate/").status_code == 403


def test_it_takes_few_queries(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    for _number in range(5):
        make_settlement()
    with django_assert_max_num_queries(12):
        admin_client.get(f"{SETTLEMENTS}simulate/")


def test_pages_reach_every_settlement_once_and_say_that_their_numbers_are_their_own(
    admin_client: Client, make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        make_settlement(description=str(number))
    whole = admin_client.get(f"{SETTLEMENTS}simulate/?overdue=2")
    assert "of this page alone" not in text_of(whole)
    monkeypatch.setattr(simulation, "MOST", 2)
    url, seen, letters = "?overdue=2", [], 0
    while url:
        response = admin_client.get(f"{SETTLEMENTS}simulate/{url}")
        assert "of this page alone" in text_of(response) and "overdue=2" in url
        assert f"Page {len(seen) + 1} of 3: all numbers" in text_of(response)
        assert "In all 5 settlements are open, of 1 payer." in text_of(response)
        seen.append(response.context["found"].settlements)
        letters, url = letters + response.context["total"], response.context["next_url"]
    assert (seen, letters) == ([2, 2, 1], whole.context["total"])


@pytest.mark.parametrize(
    "after", ["x", ":", "x:1", f"{'0' * 32}:", f"{'0' * 32}:x", f"{'0' * 32}:9{'9' * 60}", "\x00"]
)
def test_a_page_that_is_not_there_is_told(admin_client: Client, settlement: Settlement, after: str) -> None:
    response = admin_client.get(f"{SETTLEMENTS}simulate/", {"after": after})
    assert "There is no such page: this is the first." in text_of(response)
    assert response.context["found"].settlements == 1


def test_the_page_has_30_days_from_today_on(admin_client: Client, settlement: Settlement) -> None:
    page = text_of(admin_client.get(f"{SETTLEMENTS}simulate/"))
    assert "Reminders of the next 30 days, simulated" in page
    days = re.findall(r'<th scope="row">\w+ (\d{4}-\d\d-\d\d)</th>', page)
    today = day_of(database_now("default"), current_policy())
    assert days == [str(today + timedelta(days=count)) for count in range(30)]
