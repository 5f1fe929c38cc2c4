"""Statuses change by actions that ask for a reason: what they do, refuse, write down and may be used by."""

from __future__ import annotations

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
from tests.jobqueue.admin_steps import operator, text_of
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
PAYMENT_MOVES = ("start", "complete", "fail", "refund", "take_refund_back")


# Settlements --------------------------------------------------------------------------------------


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
    fields = {"_selected_action": ["0"], "select_across": "1"}
    data = {"action": "cancel", "confirmed": "cancel", "reason": "x", **fields}
    admin_client.post(f"{SETTLEMENTS}?q=Lisbon", data)
    assert Settlement.objects.filter(status="cancelled").count() == 3
    assert stored(other).status == "pending"


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


# Payments -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "before", "after"),
    [
        ("start", "pending", "processing"),
        ("complete", "pending", "completed"),
        ("complete", "processing", "completed"),
        ("complete", "failed", "completed"),
        ("fail", "pending", "failed"),
        ("fail", "completed", "failed"),
        ("refund", "completed", "refunded"),
        ("take_refund_back", "refunded", "completed"),
    ],
)
def test_a_reason_moves_a_payment(
    admin_client: Client, make_payment: Callable[..., Payment], action: str, before: str, after: str
) -> None:
    payment = make_payment(status=before)
    give_reason(admin_client, action, payment)
    assert stored(payment).status == after
    assert history_of(payment)[0].endswith(f"{before} → {after}. Reason: by agreement")


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("start", "completed"),
        ("complete", "refunded"),
        ("fail", "refunded"),
        ("refund", "pending"),
        ("take_refund_back", "completed"),
    ],
)
def test_a_payment_that_cannot_be_moved_so_is_left_alone(
    admin_client: Client, make_payment: Callable[..., Payment], action: str, status: str
) -> None:
    payment = make_payment(status=status)
    [message] = said(give_reason(admin_client, action, payment))
    assert f"({status})" in message
    assert stored(payment).status == status


def test_a_failed_payment_shows_the_reason_in_short(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    give_reason(admin_client, "fail", payment, reason="x" * 300)
    assert stored(payment).failure_reason == "x" * 200


def test_parts_of_a_payment_are_refunded_one_after_the_other(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "refund", payment, amount="20.50")
    assert (stored(payment).status, stored(payment).refunded) == ("completed", Money("50.50", "EUR"))
    assert "completed, €30.00 refunded → completed, €50.50 refunded" in history_of(payment)[1]


@pytest.mark.parametrize("rest", ["", "70", "70.00"])
def test_the_rest_of_a_payment_makes_it_refunded(
    admin_client: Client, make_payment: Callable[..., Payment], rest: str
) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "refund", payment, amount=rest)
    assert (stored(payment).status, stored(payment).refunded) == ("refunded", Money(100, "EUR"))


def test_a_refunded_part_is_taken_back(admin_client: Client, make_payment: Callable[..., Payment]) -> None:
    payment = make_payment(status="completed")
    give_reason(admin_client, "refund", payment, amount="30")
    give_reason(admin_client, "take_refund_back", payment)
    assert (stored(payment).status, stored(payment).refunded_amount) == ("completed", 0)


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        ("100.01", "At most €100.00 of it are left to go back, not €100.01."),
        ("0", "The amount that goes back must be more than 0"),
        ("-5", "The amount that goes back must be more than 0"),
        ("1.234", "EUR has at most 2 digits after the point"),
        ("x", "Enter a number."),
        ("NaN", "Enter a number."),
        ("1" * 16, "Ensure that there are no more than"),
    ],
)
def test_an_amount_that_cannot_go_back_is_an_error_of_the_form(
    admin_client: Client, make_payment: Callable[..., Payment], amount: str, error: str
) -> None:
    payment = make_payment(status="completed")
    response = give_reason(admin_client, "refund", payment, amount=amount)
    assert error in " ".join(response.context["form"].errors["amount"])
    assert response.context["form"]["reason"].value() == "by agreement"
    assert stored(payment).refunded_amount == 0


def test_no_part_of_a_yen_goes_back(
    admin_client: Client, make_settlement: Callable[..., Settlement], make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment(make_settlement(amount=Money(500, "JPY")), status="completed")
    response = give_reason(admin_client, "refund", payment, amount="33.33")
    assert "JPY has no digits after the point" in " ".join(response.context["form"].errors["amount"])
    assert 'step="1"' in text_of(ask(admin_client, "refund", payment))


def test_of_several_payments_all_that_is_left_goes_back(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payments = [make_payment(status="completed") for _ in range(2)]
    assert "amount" not in ask(admin_client, "refund", *payments).context["form"].fields
    give_reason(admin_client, "refund", *payments, amount="1")
    assert {stored(payment).status for payment in payments} == {"refunded"}


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


def test_a_forged_status_of_a_payment_is_ignored(
    admin_client: Client, make_payment: Callable[..., Payment]
) -> None:
    payment = make_payment()
    form = opened(admin_client, payment)
    assert "status" not in form.fields
    saved(form.save(status="completed", refunded_amount="5"))
    assert (stored(payment).status, stored(payment).refunded_amount) == ("pending", 0)


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


@pytest.mark.parametrize("action", PAYMENT_MOVES)
def test_payments_are_decided_with_a_permission_of_its_own(
    make_payment: Callable[..., Payment], action: str
) -> None:
    states = {"refund": "completed", "take_refund_back": "refunded"}
    payment = make_payment(status=states.get(action, "pending"))
    before = payment.status
    give_reason(operator("settlements.change_payment", "settlements.view_payment"), action, payment)
    assert stored(payment).status == before


def test_who_may_decide_need_not_be_able_to_change(settlement: Settlement) -> None:
    client = operator("settlements.view_settlement", "settlements.decide_settlement")
    assert buttons_of(client.get(page_of(settlement))) == ["complete", "cancel"]
    give_reason(client, "cancel", settlement)
    assert stored(settlement).status == "cancelled"


@pytest.mark.parametrize(
    ("status", "buttons"),
    [
        ("pending", ["complete", "cancel"]),
        ("completed", ["reopen"]),
        ("cancelled", ["reopen"]),
    ],
)
def test_the_page_of_a_settlement_offers_what_can_be_done(
    admin_client: Client, make_settlement: Callable[..., Settlement], status: str, buttons: list[str]
) -> None:
    assert buttons_of(admin_client.get(page_of(make_settlement(status=status)))) == buttons


@pytest.mark.parametrize(
    ("fields", "buttons"),
    [
        ({"status": "pending"}, ["start", "complete", "fail"]),
        ({"status": "processing"}, ["complete", "fail"]),
        ({"status": "completed"}, ["fail", "refund"]),
        ({"status": "completed", "refunded_amount": 5}, ["fail", "refund", "take_refund_back"]),
        ({"status": "failed"}, ["complete"]),
        ({"status": "refunded"}, ["take_refund_back"]),
    ],
)
def test_the_page_of_a_payment_offers_what_can_be_done(
    admin_client: Client, make_payment: Callable[..., Payment], fields: dict[str, Any], buttons: list[str]
) -> None:
    assert buttons_of(admin_client.get(page_of(make_payment(**fields)))) == buttons


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
