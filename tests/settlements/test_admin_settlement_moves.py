"""Settlements are completed, cancelled and reopened by actions that ask for a reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from moneyed import Money

from jobqueue.models import Job
from settlements.admin import moves
from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import (
    EVIL,
    SETTLEMENTS,
    ask,
    buttons_of,
    give_reason,
    history_of,
    opened,
    page_of,
    processors_of,
    said,
    saved,
)
from tests.settlements.steps import stored

pytestmark = pytest.mark.django_db

SETTLEMENT_MOVES = ("complete", "cancel", "reopen")


# What they do ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "before", "after", "message"),
    [
        ("complete", "pending", "completed", "1 settlement completed."),
        ("cancel", "pending", "cancelled", "1 settlement cancelled."),
        ("reopen", "completed", "pending", "1 settlement reopened."),
        ("reopen", "cancelled", "pending", "1 settlement reopened."),
    ],
)
def test_a_reason_moves_a_settlement(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    action: str,
    before: str,
    after: str,
    message: str,
) -> None:
    settlement = make_settlement(status=before)
    response = give_reason(admin_client, action, settlement)
    assert said(response) == [message]
    assert stored(settlement).status == after


def test_a_decision_says_who_made_it_when_and_why(
    admin_client: Client, admin_user: User, settlement: Settlement
) -> None:
    give_reason(admin_client, "cancel", settlement, reason="  They made it up.  ")
    now = stored(settlement)
    assert (now.decided_status, now.decided_by, now.decision_reason) == (
        "cancelled",
        admin_user,
        "They made it up.",
    )
    assert now.decided_at is not None


def test_reopening_takes_the_decision_back(admin_client: Client, settlement: Settlement) -> None:
    give_reason(admin_client, "complete", settlement)
    give_reason(admin_client, "reopen", settlement)
    assert stored(settlement).decided_status == ""


def test_a_reopened_settlement_owes_what_payments_do_not_cover(
    admin_client: Client, settlement: Settlement
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(30, "EUR"), status="completed")
    give_reason(admin_client, "cancel", settlement)
    give_reason(admin_client, "reopen", settlement)
    assert stored(settlement).status == "partially_paid"


@pytest.mark.parametrize("status", ["completed", "cancelled"])
def test_a_settlement_that_its_payments_cover_is_not_reopened(
    admin_client: Client, settlement: Settlement, status: str
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    Settlement.objects.update(status=status, announced_status=status)
    asked = admin_client.get(ask(admin_client, "reopen", settlement).url)
    for response in (asked, give_reason(admin_client, "reopen", settlement)):
        [message] = said(response)
        assert "its payments cover it: one of them has to be refunded or deleted first" in message
    assert stored(settlement).status == status


def test_a_covered_settlement_that_waits_for_its_job_is_not_decided(
    admin_client: Client, settlement: Settlement
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(100, "EUR"), status="completed")
    [message] = said(give_reason(admin_client, "complete", settlement))
    assert "it completes by itself" in message
    assert stored(settlement).decided_status == ""


def test_an_action_makes_the_jobs_of_the_change(admin_client: Client, settlement: Settlement) -> None:
    Job.objects.all().delete()
    give_reason(admin_client, "cancel", settlement)
    assert processors_of(settlement) == {"settlement.settlement_notification"}


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("complete", "completed"),
        ("complete", "cancelled"),
        ("cancel", "completed"),
        ("reopen", "pending"),
        ("reopen", "partially_paid"),
    ],
)
def test_a_move_that_is_not_allowed_is_named_and_left_alone(
    admin_client: Client, make_settlement: Callable[..., Settlement], action: str, status: str
) -> None:
    settlement = make_settlement(status=status)
    Job.objects.all().delete()
    [message] = said(give_reason(admin_client, action, settlement))
    assert "cannot be" in message
    assert f"Dinner in Lisbon ({status.replace('_', ' ')})" in message
    assert not Job.objects.exists()
    assert not LogEntry.objects.exists()


def test_of_several_settlements_those_that_can_are_moved(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    moved, refused = make_settlement(), make_settlement(status="completed")
    first, second = said(give_reason(admin_client, "cancel", moved, refused))
    assert first == "1 settlement cancelled."
    assert second.startswith("1 settlement cannot be cancelled and was left alone: Dinner in Lisbon")
    assert (stored(moved).status, stored(refused).status) == ("cancelled", "completed")


def test_all_that_match_the_list_are_moved(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    for _ in range(3):
        make_settlement()
    other = make_settlement(description="Rent")
    admin_client.post(f"{SETTLEMENTS}?q=Lisbon", _told(admin_client, f"{SETTLEMENTS}?q=Lisbon"))
    assert Settlement.objects.filter(status="cancelled").count() == 3
    assert stored(other).status == "pending"


def _told(client: Client, url: str) -> dict[str, Any]:
    """The answer to the question about all of a list, with what its form brings back."""
    chosen = {"action": "cancel", "_selected_action": ["0"], "select_across": "1"}
    page = client.post(url, chosen | {"index": "0"}).content.decode()
    told = re.findall(r'<input type="hidden" name="(seen|counted)" value="([^"]*)">', page)
    return {**chosen, "confirmed": "cancel", "reason": "x", **dict(told)}


def test_where_more_of_a_list_would_be_moved_than_was_told_none_is(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    make_settlement()
    other = make_settlement(description="Rent")
    answer = _told(admin_client, f"{SETTLEMENTS}?q=Lisbon")
    Settlement.objects.filter(pk=other.pk).update(description="Rent in Lisbon")
    page = admin_client.post(f"{SETTLEMENTS}?q=Lisbon", answer).content.decode()
    assert "Meanwhile more match" in page
    assert "<strong>2 settlements</strong>" in page
    assert not Settlement.objects.filter(status="cancelled").exists()


def test_a_record_of_the_list_that_was_not_told_of_is_left_alone(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    gone, moved, other = make_settlement(), make_settlement(), make_settlement(description="Rent")
    answer = _told(admin_client, f"{SETTLEMENTS}?q=Lisbon")
    Settlement.objects.filter(pk=gone.pk).update(description="Rent")
    Settlement.objects.filter(pk=other.pk).update(description="Rent in Lisbon")
    admin_client.post(f"{SETTLEMENTS}?q=Lisbon", answer)
    assert [stored(one).status for one in (gone, moved, other)] == ["pending", "cancelled", "pending"]


def test_all_of_a_list_are_told_of_when_one_request_takes_only_so_many(
    admin_client: Client, make_settlement: Callable[..., Settlement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moves, "MOST_PER_REQUEST", 2)
    for _ in range(3):
        make_settlement()
    messages = said(admin_client.post(SETTLEMENTS, _told(admin_client, SETTLEMENTS), follow=True))
    assert messages[0] == "2 settlements cancelled."
    assert "one request takes at most 2" in messages[1]


def test_one_request_takes_only_so_many(
    admin_client: Client,
    make_settlement: Callable[..., Settlement],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moves, "MOST_PER_REQUEST", 2)
    records = [make_settlement() for _ in range(3)]
    messages = said(give_reason(admin_client, "cancel", *records))
    assert messages[0] == "2 settlements cancelled."
    assert "one request takes at most 2" in messages[1]


def test_one_that_was_deleted_meanwhile_is_told(admin_client: Client, settlement: Settlement) -> None:
    data = {
        "action": "cancel",
        "confirmed": "cancel",
        "reason": "x",
        "_selected_action": [str(settlement.pk)],
    }
    Settlement.objects.all().delete()
    assert said(admin_client.post(SETTLEMENTS, data, follow=True)) == ["Nothing was cancelled: it is gone."]


# The page that asks -------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["", "   ", "\n", "x" * 501])
def test_nothing_happens_without_a_reason_of_a_sensible_length(
    admin_client: Client, settlement: Settlement, reason: str
) -> None:
    response = give_reason(admin_client, "cancel", settlement, reason=reason)
    assert response.context["form"].errors["reason"]
    assert stored(settlement).status == "pending"
    assert not LogEntry.objects.exists()


def test_choosing_an_action_changes_nothing_yet(admin_client: Client, settlement: Settlement) -> None:
    text = text_of(ask(admin_client, "cancel", settlement))
    assert "Dinner in Lisbon" in text
    assert stored(settlement).status == "pending"


def test_the_page_names_those_that_will_be_left_alone(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    text = text_of(ask(admin_client, "cancel", make_settlement(), make_settlement(status="completed")))
    assert "Cancel: <strong>1 settlement</strong>" in text
    assert "Left alone: completed." in text


def test_the_page_escapes_what_it_shows(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    text = text_of(ask(admin_client, "cancel", make_settlement(description=EVIL)))
    assert EVIL not in text


def test_the_reason_is_written_down_escaped(admin_client: Client, settlement: Settlement) -> None:
    give_reason(admin_client, "cancel", settlement, reason=EVIL)
    assert history_of(settlement) == [f"Cancelled: pending → cancelled. Reason: {EVIL}"]
    assert EVIL not in text_of(admin_client.get(page_of(settlement)))


def test_a_button_leads_back_to_the_page_it_was_on(admin_client: Client, settlement: Settlement) -> None:
    response = give_reason(admin_client, "cancel", settlement, back="1")
    assert response.redirect_chain[-1][0] == page_of(settlement)


# Forged statuses ----------------------------------------------------------------------------------


def test_a_forged_status_of_a_settlement_is_ignored(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    assert "status" not in form.fields
    saved(form.save(status="completed", decided_status="completed", history="true", announced_status="x"))
    assert (stored(settlement).status, stored(settlement).history) == ("pending", False)


# Permissions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", SETTLEMENT_MOVES)
@pytest.mark.parametrize("permission", ["view_settlement", "change_settlement"])
def test_settlements_are_decided_with_a_permission_of_its_own(
    make_settlement: Callable[..., Settlement], action: str, permission: str
) -> None:
    settlement = make_settlement(status="cancelled" if action == "reopen" else "pending")
    before = settlement.status
    give_reason(operator(f"settlements.{permission}"), action, settlement)
    assert stored(settlement).status == before


def test_who_may_decide_need_not_be_able_to_change(settlement: Settlement) -> None:
    client = operator(
        "settlements.view_settlement",
        "settlements.complete_settlement",
        "settlements.cancel_settlement",
        "settlements.reopen_settlement",
    )
    assert buttons_of(client.get(page_of(settlement))) == ["complete", "cancel"]
    give_reason(client, "cancel", settlement)
    assert stored(settlement).status == "cancelled"


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("pending", ["complete", "cancel", "send_reminder", "pause_reminders"]),
        ("completed", ["reopen"]),
        ("cancelled", ["reopen"]),
    ],
)
def test_the_page_of_a_settlement_offers_what_can_be_done(
    admin_client: Client, make_settlement: Callable[..., Settlement], status: str, buttons: list[str]
) -> None:
    assert buttons_of(admin_client.get(page_of(make_settlement(status=status)))) == buttons


@pytest.mark.parametrize("kind", ["settlement", "payment"])
def test_who_may_only_look_sees_no_buttons(make_payment: Callable[..., Payment], kind: str) -> None:
    payment = make_payment()
    record = payment if kind == "payment" else payment.settlement
    client = operator(f"settlements.view_{kind}")
    response = client.get(page_of(record))
    assert buttons_of(response) == []
    assert 'name="_save"' not in text_of(response)
    assert "jq-buttons" not in text_of(response)
    assert 'name="action"' not in text_of(client.get(page_of(record).removesuffix(f"{record.pk}/change/")))


def test_what_was_said_to_be_left_alone_is_not_moved_in_the_place_of_another(
    admin_client: Client, make_settlement: Callable[..., Settlement]
) -> None:
    counted, left_alone = make_settlement(), make_settlement(reminders_paused=True)
    data = {"action": "pause_reminders", "_selected_action": "0", "select_across": "1"}
    page = admin_client.post(SETTLEMENTS, data).content.decode()
    told = dict(re.findall(r'<input type="hidden" name="(seen|counted)" value="([^"]*)">', page))
    Settlement.objects.filter(pk=left_alone.pk).update(reminders_paused=False)
    Settlement.objects.filter(pk=counted.pk).update(reminders_paused=True)
    admin_client.post(SETTLEMENTS, data | told | {"confirmed": "pause_reminders", "reason": "holiday"})
    assert not Settlement.objects.get(pk=left_alone.pk).reminders_paused
