"""One timeline on a settlement's page: saves, payments, jobs, letters and what is to come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings as DjangoSettings

from jobqueue.models import BulkAction, Job
from settlements.admin.timeline import MOST_PAST
from settlements.models import EmailDelivery, Payment, Settlement
from tests.jobqueue.admin.steps import JOBS, choose, confirm, operator, text_of
from tests.settlements.admin_steps import EVIL, give_reason, opened, page_of, saved
from tests.settlements.steps import EMAIL, REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


def timeline(client: Client, settlement: Settlement) -> Any:
    """The timeline as this client sees it."""
    return client.get(page_of(settlement)).context["timeline"]


def past(client: Client, settlement: Settlement) -> list[str]:
    """What has happened, the newest first."""
    return [line.what for line in timeline(client, settlement).past]


def test_reminders_to_come_stand_above_now_and_letters_below(
    admin_client: Client, settlement: Settlement
) -> None:
    run_soon()
    found = timeline(admin_client, settlement)
    assert [line.what for line in found.ahead][-2:] == ["Reminder: follow-up", "Reminder: follow-up"]
    assert "Due date" in [line.what for line in found.ahead]
    assert {"Letter: initial reminder", "Letter: new settlement"} <= {line.what for line in found.past}
    assert found.past[-1].what == "Settlement created"


def test_a_job_whose_letter_is_shown_is_not_shown_again(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    assert not [name for name in past(admin_client, settlement) if name.startswith("E-mail")]
    assert Job.objects.about(settlement).filter(processor=EMAIL).exists()


def test_payments_stand_in_it_with_their_amounts(
    admin_client: Client, settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(settlement)
    [line] = [line for line in timeline(admin_client, settlement).past if "Payment of" in line.what]
    assert line.url == page_of(payment) and "pending" in line.state


def test_what_operators_did_stands_in_it_with_who_and_why(
    admin_client: Client, settlement: Settlement
) -> None:
    give_reason(admin_client, "pause_reminders", settlement, reason=f"on holiday {EVIL}")
    response = admin_client.get(page_of(settlement))
    [line] = [line for line in response.context["timeline"].past if line.who == "admin"]
    assert line.what == "Pause" and "on holiday" in line.detail
    assert EVIL not in text_of(response)


def test_reminders_that_would_be_skipped_say_so(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    give_reason(admin_client, "pause_reminders", settlement)
    lines = [line for line in timeline(admin_client, settlement).ahead if line.what.startswith("Reminder")]
    assert {line.detail for line in lines} == {"would be skipped: reminders are paused"}


def test_an_action_on_many_jobs_is_one_line_with_its_jobs(
    admin_client: Client, settlement: Settlement
) -> None:
    run_soon()
    jobs = waiting_of(settlement, REMINDER)[:3]
    choose(admin_client, "cancel", *jobs)
    confirm(admin_client, "cancel", *jobs)
    [line] = [line for line in timeline(admin_client, settlement).past if line.what.startswith("Cancel")]
    assert line.what == "Cancel: 3 jobs" and line.url.startswith(f"{JOBS}?audit=")


def test_what_was_done_to_several_records_at_once_stands_in_it_with_their_names(
    admin_client: Client, admin_user: User, settlement: Settlement, make_settlement: Callable[..., Settlement]
) -> None:
    several = Settlement.objects.filter(pk__in=[settlement.pk, make_settlement(description="Rent").pk])
    LogEntry.objects.log_actions(admin_user.pk, several, CHANGE, change_message="Checked: by hand")
    for one in several:
        [line] = [line for line in timeline(admin_client, one).past if line.who == "admin"]
        assert (line.what, line.url) == ("Checked", "")
        assert line.detail.startswith("by hand (") and all(str(each) in line.detail for each in several)


def test_a_bulk_action_is_one_line_with_its_page(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    action = BulkAction.objects.create(
        verb="retry",
        key="k",
        highest_id=10**6,
        expected=400,
        changed=398,
        asked_by="pia",
        reason="the server is back",
    )
    jobs = [job.pk for job in waiting_of(settlement, REMINDER)[:2]]
    Job.objects.filter(pk__in=jobs).update(bulk_action=action.pk)
    [line] = [line for line in timeline(admin_client, settlement).past if line.who == "pia"]
    assert line.what == f"Bulk action: {action}"
    assert line.detail == "about this: 2 of the 398 jobs that it changed – the server is back"
    assert line.url == f"/admin/jobqueue/bulkaction/{action.pk}/change/"


def test_it_is_bounded_and_says_where_the_older_ones_are(
    admin_client: Client, settlement: Settlement
) -> None:
    jobs = [
        Job(
            processor="sample.succeed",
            queue="email",
            timeout=1,
            subject=f"settlements.settlement:{settlement.pk}",
            state="completed",
            created_at=settlement.created_at - timedelta(milliseconds=200 - number),
            finished_at=settlement.created_at - timedelta(milliseconds=200 - number),
        )
        for number in range(150)
    ]
    Job.objects.bulk_create(jobs)
    found = timeline(admin_client, settlement)
    assert len(found.past) <= MOST_PAST
    assert [str(label) for label, _url in found.older] == ["jobs", "letters", "payments", "changes"]
    # What was planned before all of them is still to come.
    assert [line for line in found.ahead if line.what.startswith("Reminder")]


def test_addresses_are_masked(admin_client: Client, settlement: Settlement) -> None:
    run_soon()
    text = text_of(admin_client.get(page_of(settlement)))
    assert "payer@example.com" not in text and "p… at example.com" in text


def test_it_shows_no_more_than_the_user_may_see(settlement: Settlement) -> None:
    run_soon()
    found = timeline(operator("settlements.view_settlement"), settlement)
    assert [line.what for line in found.past] == ["Settlement created"]
    assert [line.what for line in found.ahead] == ["Due date"]


def test_the_page_takes_few_queries_however_much_happened(
    settlement: Settlement,
    make_payment: Callable[..., Payment],
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    run_soon()
    for _number in range(3):
        make_payment(settlement)
    action = BulkAction.objects.create(verb="retry", key="k", highest_id=1, expected=1)
    Job.objects.filter(processor=REMINDER).update(bulk_action=action.pk)
    EmailDelivery.objects.update(user=settlement.payer)
    names = [f"settlements.view_{name}" for name in ("settlement", "payment", "emaildelivery", "discrepancy")]
    client = operator(
        "view_job",
        "settlements.change_settlement",
        "settlements.remind_settlement",
        "settlements.pause_settlement",
        *names,
    )
    page = client.get(page_of(settlement))
    for address in (page_of(settlement), page.context["regions_url"]):
        with django_assert_max_num_queries(15):
            client.get(address)


# Saves ----------------------------------------------------------------------------------------------


def later(record: Settlement | Payment, seconds: int = 60) -> None:
    """Have the record made a while ago, so that a save now is another one."""
    made = record.created_at - timedelta(seconds=seconds)
    type(record).objects.filter(pk=record.pk).update(created_at=made)
    record.refresh_from_db()


def saves(client: Client, settlement: Settlement) -> list[tuple[str, str]]:
    """The lines of last saves: what and who."""
    return [(one.what, one.who) for one in timeline(client, settlement).past if "saved last" in one.what]


def test_a_save_on_a_page_of_the_admin_says_who_changed_what(
    admin_client: Client, settlement: Settlement
) -> None:
    later(settlement)
    saved(opened(admin_client, settlement).save(description="Supper in Porto"))
    [line] = [line for line in timeline(admin_client, settlement).past if line.who == "admin"]
    assert (line.what, line.detail) == ("Change", "Changed Description")
    assert "pending" in line.state and not saves(admin_client, settlement)


def test_a_save_of_nobody_known_is_a_programs(admin_client: Client, settlement: Settlement) -> None:
    later(settlement)
    settlement.description = "Supper in Porto"
    settlement.save()
    assert saves(admin_client, settlement) == [("Settlement saved last", "a program")]


def test_a_settlement_that_follows_a_payment_names_the_job_that_saved_it(
    admin_client: Client, settlement: Settlement, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(settlement)
    later(settlement)
    later(payment)
    give_reason(admin_client, "complete", payment)
    run_soon()
    job = Job.objects.about(settlement).get(processor="settlement.auto_complete")
    assert saves(admin_client, settlement) == [
        ("Settlement saved last", f"job settlement.auto_complete #{job.pk}")
    ]


def test_a_save_by_a_job_names_the_job_and_the_bulk_action_that_had_it_run(
    admin_client: Client, settlement: Settlement
) -> None:
    later(settlement)
    settlement.description = "Supper in Porto"
    settlement.save()
    action = BulkAction.objects.create(verb="retry", key="k", highest_id=1, expected=1)
    moment = Settlement.objects.get().updated_at
    job = Job.objects.create(
        processor="settlement.auto_complete",
        queue="settlement",
        timeout=30,
        state="completed",
        subject=f"settlements.settlement:{settlement.pk}",
        bulk_action=action.pk,
        run_at=moment,
        started_at=moment,
        finished_at=moment,
    )
    assert saves(admin_client, settlement) == [
        ("Settlement saved last", f"job settlement.auto_complete #{job.pk}")
    ]
    assert f"bulk action #{action.pk}" in text_of(admin_client.get(page_of(settlement)))


def test_a_decision_of_a_program_stands_in_it_though_the_settlement_was_saved_since(
    admin_client: Client, settlement: Settlement
) -> None:
    settlement.status = Settlement.Status.CANCELLED
    settlement.save()
    Settlement.objects.update(
        created_at=settlement.updated_at - timedelta(hours=2),
        decided_at=settlement.updated_at - timedelta(hours=1),
    )
    lines = timeline(admin_client, settlement).past
    found = {line.what: line.who for line in lines if line.what.startswith("Settlement ")}
    assert found["Settlement decided"] == found["Settlement saved last"] == "a program"


def test_it_says_that_of_saves_by_programs_the_last_is_known(
    admin_client: Client, settlement: Settlement
) -> None:
    assert "the last save alone" in text_of(admin_client.get(page_of(settlement)))
