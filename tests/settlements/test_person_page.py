"""Why did Alice get no reminder? One page answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings as DjangoSettings

from jobqueue.models import Job
from settlements.addresses import bar
from settlements.admin import person_jobs, person_page
from settlements.jobs import add_email_notification_job
from settlements.models import BarredAddress, EmailDelivery, Settlement
from settlements.operating import people
from tests.jobqueue.admin.steps import JOBS, ids_of, operator, text_of
from tests.jobqueue.groups import OPERATORS, member_of
from tests.settlements.admin_steps import EVIL, USERS, history_of, panel, said
from tests.settlements.steps import REMINDER, domain_settings, run_soon, waiting_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])


@pytest.fixture(autouse=True)
def _policy(settings: DjangoSettings) -> None:
    settings.SETTLEMENTS = domain_settings()


QUEUED = (
    "1 reminder is queued. Waiting for a worker on queue email: no worker serves it. "
    "Start one with: manage.py rqworker email"
)


def letters(person: User) -> str:
    """The address of the person's letters."""
    return f"{USERS}{person.pk}/letters/"


def test_the_page_of_a_user_leads_to_the_letters(admin_client: Client, payer: User) -> None:
    assert "../letters/" in text_of(admin_client.get(f"{USERS}{payer.pk}/change/"))
    assert admin_client.get(letters(payer)).status_code == 200


def test_the_page_of_a_user_shows_the_next_letters_and_whether_they_go_out(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    run_soon()
    first, second, third, *others = sorted(waiting_of(settlement, REMINDER), key=lambda job: job.run_at)
    shown = panel(admin_client, payer)
    assert f"Letters go out to {payer.email}." in shown
    assert all(f'datetime="{job.run_at.isoformat()}"' in shown for job in (first, second, third))
    assert others and str(others[0].run_at.isoformat()) not in shown
    bar(payer.email, BarredAddress.PAUSED, "on holiday", using="default")
    text = text_of(admin_client.get(f"{USERS}{payer.pk}/change/"))
    assert "the address is" in text and "paused since " in text and "Letters go out to" not in text


def test_the_page_of_a_user_shows_what_was_not_sent_last_and_why(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    run_soon()
    assert "Not sent last" not in panel(admin_client, payer)
    letter = EmailDelivery.objects.filter(user=payer).latest("pk")
    EmailDelivery.objects.filter(pk=letter.pk).update(status="failed", error="550 mailbox full")
    settlement.reminders_paused = True
    settlement.save()
    next_one = waiting_of(settlement, REMINDER)[0]
    Job.objects.filter(pk=next_one.pk).update(run_at=timezone.now())
    run_soon()
    shown = panel(admin_client, payer).partition("Not sent last, and why")[2]
    assert "550 mailbox full" in shown and "skipped: reminders are paused" in shown


def test_the_panel_takes_few_questions_and_none_of_who_may_not_see_letters(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User
) -> None:
    counts = []
    for number in (1, 6):
        for _ in range(number):
            make_settlement()
        with CaptureQueriesContext(connection) as queries:
            shown = text_of(admin_client.get(f"{USERS}{payer.pk}/change/"))
        counts.append(
            len([one for one in queries if "jobqueue" in one["sql"] or "settlements" in one["sql"]])
        )
    assert 'class="jq-letters"' in shown
    assert counts[0] == counts[1] <= 14
    looker = operator("auth.view_user", "view_job")
    assert "jq-letters" not in text_of(looker.get(f"{USERS}{payer.pk}/change/"))


def test_it_shows_what_was_sent_and_what_will_come(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    run_soon()
    context = admin_client.get(letters(payer)).context
    assert {row["letter"].template_type for row in context["letters"]} == {
        "reminder_initial",
        "settlement_created",
    }
    assert [row["what"] for row in context["coming"]][:2] == ["follow-up 1", "follow-up 2"]


def test_it_says_why_a_reminder_was_not_sent(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    settlement.reminders_paused = True
    settlement.save()
    run_soon()
    page = admin_client.get(letters(payer))
    assert [row["reason"] for row in page.context["held"]] == ["skipped: reminders are paused"]
    assert "Reminders of “Dinner in Lisbon” are paused." in text_of(page)


def test_it_says_that_the_person_owes_nothing(
    admin_client: Client, settlement: Settlement, payee: User
) -> None:
    assert "owes nothing" in text_of(admin_client.get(letters(payee)))


def test_letters_are_paused_and_resumed_once(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    for expected in ("paused", "so already"):
        response = admin_client.post(letters(payer), {"verb": "pause", "reason": "on holiday"}, follow=True)
        assert expected in said(response)[0]
    run_soon()
    reasons = Job.objects.filter(processor=REMINDER, state="completed").values_list("reason", flat=True)
    assert list(reasons) == ["skipped: letters to this address are paused"]
    admin_client.post(letters(payer), {"verb": "resume", "reason": "back"})
    assert not BarredAddress.objects.barred().exists()
    assert history_of(payer) == [
        "Pause: letters go out → paused. Reason: on holiday",
        "Resume: letters held back → go out. Reason: back",
    ]


def test_a_pause_that_cannot_be_written_down_is_none(
    admin_client: Client, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object) -> None:
        raise RuntimeError("the process ends here")

    monkeypatch.setattr(people, "log_change", break_down)
    with pytest.raises(RuntimeError, match="ends here"):
        admin_client.post(letters(payer), {"verb": "pause", "reason": "on holiday"})
    assert not BarredAddress.objects.exists()


@pytest.mark.parametrize(
    ("reason", "trouble"),
    [*((text, "Say why") for text in ("", " ", "x" * 501)), ("a\x00", "cannot have the character U+0000")],
)
def test_a_pause_takes_a_reason(admin_client: Client, payer: User, reason: str, trouble: str) -> None:
    response = admin_client.post(letters(payer), {"verb": "pause", "reason": reason}, follow=True)
    assert trouble in said(response)[0]
    assert not BarredAddress.objects.exists()


# A reminder now -----------------------------------------------------------------------------------


def owed(client: Client, person: User) -> dict[str, str]:
    """Of what the person can be reminded now, and why not."""
    found = client.get(letters(person)).context["owed"]
    return {one.settlement.description: one.why_not for one in found}


def remind(client: Client, person: User, key: Any, **fields: Any) -> list[str]:
    """Send a reminder of this settlement from the person's page; what it says then."""
    data = {"remind": str(key), "reason": "she asked for it", **fields}
    return said(client.post(letters(person), data, follow=True))


def test_a_reminder_is_sent_from_it_once_for_two_clicks(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    run_soon()
    mail.outbox.clear()
    assert owed(admin_client, payer) == {"Dinner in Lisbon": ""}
    assert remind(admin_client, payer, settlement.pk) == [QUEUED]
    assert "a reminder is on its way" in remind(admin_client, payer, settlement.pk)[0]
    run_soon()
    assert [message.to for message in mail.outbox] == [[payer.email]]
    assert "Reason: she asked for it" in history_of(settlement)[0] and len(history_of(settlement)) == 1


def test_it_says_why_no_reminder_can_be_sent_now(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User
) -> None:
    make_settlement(description="paused", reminders_paused=True)
    asked = make_settlement(description="asked")
    make_settlement(description="free")
    remind(admin_client, payer, asked.pk)
    expected = {"paused": "reminders are paused", "asked": "a reminder is on its way", "free": ""}
    assert owed(admin_client, payer) == expected
    assert "Not now: reminders are paused." in text_of(admin_client.get(letters(payer)))


@pytest.mark.parametrize("key", ["", "x", "a\x00b", str(uuid.UUID(int=7))])
def test_of_what_is_not_there_nobody_is_reminded(admin_client: Client, payer: User, key: str) -> None:
    assert remind(admin_client, payer, key) == ["Nothing was reminded: it is gone."]


def test_only_who_owes_it_is_reminded_from_the_own_page(
    admin_client: Client, settlement: Settlement, payee: User
) -> None:
    assert owed(admin_client, payee) == {}
    assert remind(admin_client, payee, settlement.pk) == ["Nothing was reminded: it is gone."]


def test_a_reminder_takes_a_reason_and_the_permission_of_its_settlement(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    assert "Say why" in remind(admin_client, payer, settlement.pk, reason=" ")[0]
    viewer = operator("auth.view_user", "view_job", "settlements.view_emaildelivery")
    assert owed(viewer, payer) == {}
    blind = operator(
        "auth.view_user",
        "view_job",
        "settlements.view_emaildelivery",
        "settlements.remind_settlement",
        username="blind",
    )
    for client in (viewer, blind):
        refused = client.post(letters(payer), {"remind": str(settlement.pk), "reason": "x"})
        assert refused.status_code == 403 and not history_of(settlement)


def test_who_may_not_look_sees_nothing(payer: User) -> None:
    assert operator("auth.view_user").get(letters(payer)).status_code == 403
    viewer = operator("auth.view_user", "view_job", "settlements.view_emaildelivery", username="viewer")
    assert viewer.get(letters(payer)).status_code == 200
    assert viewer.post(letters(payer), {"verb": "pause", "reason": "x"}).status_code == 403


def test_an_operator_of_the_groups_finds_the_person_and_is_answered_on_one_page(
    settlement: Settlement, payer: User
) -> None:
    settlement.reminders_paused = True
    settlement.save()
    client = member_of(*OPERATORS)
    found = client.get(JOBS, {"q": payer.get_full_name()})
    people = next(group for group in found.context["searched"].groups if group.title == "People")
    assert [(entry.label, entry.url) for entry in people.entries] == [("Pia Payer", letters(payer))]
    text = text_of(client.get(letters(payer)))
    assert "Reminders of “Dinner in Lisbon” are paused." in text
    assert f"{USERS}{payer.pk}/change/" not in text and f'href="{USERS}"' not in text


def test_to_see_people_opens_nothing_else_of_the_users_of_the_site(payer: User) -> None:
    client = member_of(*OPERATORS)
    assert {client.get(f"{USERS}{path}").status_code for path in ("", f"{payer.pk}/change/", "add/")} == {403}


def test_to_see_people_takes_letters_too(payer: User) -> None:
    looks = ("settlements.view_person", "settlements.view_emaildelivery")
    for missing in looks:
        client = operator(*({*looks} - {missing}), username=f"without {missing}")
        refused = client.get(letters(payer))
        assert refused.status_code == 403 and missing in refused.content.decode()


def test_the_page_of_a_settlement_leads_to_the_letters_of_its_people(
    settlement: Settlement, payer: User, payee: User
) -> None:
    page = f"/admin/settlements/settlement/{settlement.pk}/change/"
    text = text_of(member_of(*OPERATORS).get(page))
    assert letters(payer) in text and letters(payee) in text
    stranger = operator("settlements.view_settlement", "view_job", "settlements.view_emaildelivery")
    assert letters(payer) not in text_of(stranger.get(page))


def test_an_operator_sends_a_reminder_from_it(settlement: Settlement, payer: User) -> None:
    client = member_of(*OPERATORS)
    assert remind(client, payer, settlement.pk) == [QUEUED]


def test_who_there_is_not_is_told_without_a_way_that_is_closed() -> None:
    page = member_of(*OPERATORS).get(f"{USERS}999999/letters/")
    assert page.status_code == 404 and f'href="{USERS}"' not in page.content.decode()
    assert page.context["ways"] == []


@pytest.mark.parametrize("key", ["999999", "x"])
def test_nobody_has_no_letters(admin_client: Client, key: str) -> None:
    assert admin_client.get(f"{USERS}{key}/letters/").status_code == 404


def test_hostile_names_stay_text(
    admin_client: Client, make_settlement: Callable[..., Settlement], payer: User
) -> None:
    User.objects.filter(pk=payer.pk).update(first_name=EVIL)
    make_settlement(description=EVIL, reminders_paused=True)
    assert EVIL not in text_of(admin_client.get(letters(payer)))


def test_it_takes_few_queries_however_many_settlements(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    payer: User,
    django_assert_max_num_queries: Callable[..., Any],
) -> None:
    for number in range(6):
        make_settlement(description=str(number))
    run_soon()
    assert waiting_of(Settlement.objects.all()[0])
    with django_assert_max_num_queries(15):
        assert admin_client.get(letters(payer)).status_code == 200


def test_it_says_whom_else_a_pause_holds_letters_back_from(
    admin_client: Client, settlement: Settlement, payer: User
) -> None:
    assert "get no letters either" not in text_of(admin_client.get(letters(payer)))
    User.objects.create_user("twin", email=payer.email.upper())
    text = text_of(admin_client.get(letters(payer)))
    assert "these have the same, and get no letters either: twin." in text
    assert "Pause letters to all with this address" in text


def test_it_says_that_jobs_were_left_out_and_where_all_are(
    admin_client: Client, settlement: Settlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "were looked at" not in text_of(admin_client.get(letters(payer)))
    monkeypatch.setattr(person_jobs, "MOST_JOBS", 2)
    response = admin_client.get(letters(payer))
    assert "Only 2 jobs about" in text_of(response)
    assert len(response.context["coming"]) == 2
    found = ids_of(admin_client.get(response.context["all_url"]))
    named = Job.objects.filter(payload__user_id=payer.pk).values_list("pk", flat=True)
    assert found == set(named) and len(found) > 2


def test_a_delayed_letter_about_no_settlement_will_come(admin_client: Client, payer: User) -> None:
    later = timezone.now() + timedelta(hours=2)
    add_email_notification_job(payer.pk, payer.email, "Hello", "payment_received", {}, run_at=later)
    response = admin_client.get(letters(payer))
    assert [row["job"].subject for row in response.context["coming"]] == [f"auth.user:{payer.pk}"]


def test_it_says_how_many_letters_there_are_and_where_all_are(
    admin_client: Client, payer: User, payee: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(person_page, "MOST", 2)
    for person in (payer, payer, payee):
        EmailDelivery.objects.create(user=person, recipient=person.email, message_id=uuid.uuid4().hex)
    assert "letters_left_out" not in admin_client.get(letters(payer)).context
    EmailDelivery.objects.create(user=payer, recipient=payer.email, message_id=uuid.uuid4().hex)
    response = admin_client.get(letters(payer))
    assert "These are the newest 2 of 3 letters." in text_of(response)
    listed = admin_client.get(response.context["all_letters_url"]).context["cl"].result_list
    assert [letter.user for letter in listed] == [payer] * 3
