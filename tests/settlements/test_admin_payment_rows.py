"""The payments on the page of their settlement: rows that changed, came or went while the page was open."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from moneyed import Money

from settlements.models import Payment, Settlement
from tests.jobqueue.admin.steps import operator, text_of
from tests.settlements.admin_steps import (
    errors_of,
    fields_of,
    give_reason,
    history_of,
    new_payment,
    opened,
    page_of,
    saved,
)
from tests.settlements.steps import stored

pytestmark = pytest.mark.django_db

ROW = "payments-0-"


@pytest.fixture
def payment(settlement: Settlement) -> Payment:
    """A pending payment of 20 EUR towards the settlement."""
    return Payment.objects.create(settlement=settlement, amount=Money(20, "EUR"))


@pytest.fixture
def anna() -> Client:
    """Another operator."""
    return operator(
        "settlements.change_payment",
        "settlements.view_payment",
        "settlements.add_payment",
        "settlements.delete_payment",
        "settlements.complete_payment",
        "settlements.fail_payment",
        "settlements.refund_payment",
        "settlements.change_settlement",
        "settlements.view_settlement",
        username="anna",
    )


def _rows(fields: dict[str, str]) -> list[str]:
    return [fields[f"payments-{index}-id"] for index in range(int(fields["payments-INITIAL_FORMS"]))]


# Changed meanwhile --------------------------------------------------------------------------------


def test_a_row_whose_payment_changed_meanwhile_is_refused(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    give_reason(anna, "complete", payment)
    text = errors_of(form.save(**{f"{ROW}amount_0": "25"}))
    assert "This payment was changed while the page was open. Status: pending → completed by anna." in text
    assert stored(payment).amount == Money(20, "EUR")


def test_a_row_that_nobody_touched_is_compared_too(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    saved(opened(anna, payment).save(amount_0="21"))
    assert "Amount: €20.00 → €21.00 by anna." in errors_of(form.save(description="Supper"))
    assert stored(payment.settlement).description == "Dinner in Lisbon"


def test_a_row_changed_on_another_page_of_the_settlement_names_the_operator(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    saved(opened(anna, payment.settlement).save(**{f"{ROW}amount_0": "21"}))
    assert "Amount: €20.00 → €21.00 by anna." in errors_of(form.save())


def test_saving_the_rows_again_after_the_message_works(admin_client: Client, payment: Payment) -> None:
    form = opened(admin_client, payment.settlement)
    Payment.objects.update(failure_reason="card expired")
    again = form.shown_again(form.save(**{f"{ROW}amount_0": "25"}))
    saved(again.save())
    assert (stored(payment).amount, stored(payment).failure_reason) == (Money(25, "EUR"), "card expired")


def test_a_row_whose_payment_changed_meanwhile_is_not_deleted(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    give_reason(anna, "complete", payment)
    text = errors_of(form.save(**{f"{ROW}DELETE": "on"}))
    assert "Status: pending → completed by anna." in text
    assert Payment.objects.filter(pk=payment.pk).exists()


def test_a_row_that_did_not_change_is_deleted(admin_client: Client, payment: Payment) -> None:
    saved(opened(admin_client, payment.settlement).save(**{f"{ROW}DELETE": "on"}))
    assert not Payment.objects.exists()


@pytest.mark.parametrize("text", [None, "x"])
@pytest.mark.parametrize("delete", [None, "on"])
def test_a_row_that_does_not_say_what_it_showed_is_refused(
    admin_client: Client, payment: Payment, text: str | None, delete: str | None
) -> None:
    form = opened(admin_client, payment.settlement)
    entered = {f"{ROW}shown_values": text, f"{ROW}amount_0": "25", f"{ROW}DELETE": delete}
    assert "does not say what it showed" in errors_of(form.save(**entered))
    assert stored(payment).amount == Money(20, "EUR")


# Came and went meanwhile --------------------------------------------------------------------------


def test_a_row_that_was_deleted_meanwhile_is_told(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    saved(opened(anna, payment.settlement).save(**{f"{ROW}DELETE": "on"}))
    text = errors_of(form.save(**{f"{ROW}amount_0": "25"}))
    assert "The payment of €20.00 (pending) was deleted or moved while the page was open, by anna." in text


def test_a_payment_deleted_on_its_own_page_names_the_operator(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    anna.post(page_of(payment).replace("/change/", "/delete/"), {"post": "yes"})
    assert "was deleted or moved while the page was open, by anna." in errors_of(form.save())


@pytest.mark.parametrize("delete", [None, "on"])
def test_after_that_the_page_shows_what_is_left_and_saves(
    admin_client: Client, settlement: Settlement, delete: str | None
) -> None:
    first, gone, last = (
        Payment.objects.create(settlement=settlement, amount=Money(number, "EUR")) for number in (1, 2, 3)
    )
    form = opened(admin_client, settlement)
    index = _rows(form.fields).index(str(last.pk))
    mine = _rows(form.fields).index(str(gone.pk))
    Payment.objects.filter(pk=gone.pk).delete()
    again = form.shown_again(
        form.save(**{f"payments-{index}-amount_0": "3.50", f"payments-{mine}-DELETE": delete})
    )
    assert set(_rows(again.fields)) == {str(first.pk), str(last.pk)}
    saved(again.save())
    assert sorted(one.amount.amount for one in settlement.payments.all()) == [1, 3.5]


def test_a_row_that_was_added_meanwhile_is_told_and_shown(
    admin_client: Client, anna: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    page = opened(anna, payment.settlement)
    saved(page.save(**new_payment(1, amount_0="7")))
    response = form.save(**{f"{ROW}amount_0": "25"})
    assert "This payment was added while the page was open, by anna." in errors_of(response)
    again = form.shown_again(response)
    assert len(_rows(again.fields)) == 2
    saved(again.save())
    assert sorted(one.amount.amount for one in Payment.objects.all()) == [7, 25]


def test_a_row_that_a_program_added_meanwhile_is_told(admin_client: Client, settlement: Settlement) -> None:
    form = opened(admin_client, settlement)
    Payment.objects.create(settlement=settlement, amount=Money(7, "EUR"))
    assert "This payment was added while the page was open, by a program." in errors_of(form.save())


def test_new_rows_keep_what_was_entered_when_others_came_and_went(
    admin_client: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    Payment.objects.all().delete()
    other = Payment.objects.create(settlement=payment.settlement, amount=Money(7, "EUR"))
    again = form.shown_again(form.save(**new_payment(1, amount_0="33", status="completed")))
    assert _rows(again.fields) == [str(other.pk)]
    saved(again.save())
    found = {(one.amount.amount, one.status) for one in Payment.objects.all()}
    assert found == {(7, "pending"), (33, "completed")}


def test_two_pages_that_add_a_payment_do_not_both_save(admin_client: Client, settlement: Settlement) -> None:
    one, other = opened(admin_client, settlement), opened(admin_client, settlement)
    saved(one.save(**new_payment(amount_0="50")))
    errors_of(other.save(**new_payment(amount_0="50")))
    assert Payment.objects.count() == 1


@pytest.mark.parametrize(
    "forged",
    [
        {"payments-INITIAL_FORMS": "x"},
        {"payments-TOTAL_FORMS": "-1"},
        {"payments-TOTAL_FORMS": None},
        {"payments-INITIAL_FORMS": "0", "payments-TOTAL_FORMS": "0"},
        {"payments-0-id": "x"},
        {"payments-0-id": None},
    ],
)
def test_forged_rows_are_refused_without_an_error_page(
    admin_client: Client, payment: Payment, forged: dict[str, Any]
) -> None:
    form = opened(admin_client, payment.settlement)
    errors_of(form.save(**forged, **{f"{ROW}amount_0": "25"}))
    assert stored(payment).amount == Money(20, "EUR")


# Statuses -----------------------------------------------------------------------------------------


def test_the_status_of_a_row_that_is_there_cannot_be_set(admin_client: Client, payment: Payment) -> None:
    form = opened(admin_client, payment.settlement)
    assert f"{ROW}status" not in form.fields
    saved(form.save(**{f"{ROW}status": "completed", f"{ROW}amount_0": "25"}))
    assert stored(payment).status == "pending"
    assert stored(payment).amount == Money(25, "EUR")


def test_the_status_of_a_row_that_is_there_is_shown(admin_client: Client, payment: Payment) -> None:
    text = text_of(admin_client.get(page_of(payment.settlement)))
    assert '<span class="jq-badge jq-pending">pending</span>' in text


def test_the_first_status_of_a_new_row_may_be_chosen(admin_client: Client, settlement: Settlement) -> None:
    saved(opened(admin_client, settlement).save(**new_payment(status="completed")))
    assert settlement.payments.get().status == "completed"


# Currencies and amounts ---------------------------------------------------------------------------


def test_a_new_row_in_another_currency_is_refused(admin_client: Client, settlement: Settlement) -> None:
    text = errors_of(opened(admin_client, settlement).save(**new_payment(amount_1="USD")))
    assert "The settlement is in EUR: a payment in USD would count nothing." in text
    assert not Payment.objects.exists()


def test_a_settlement_does_not_leave_its_payments_in_another_currency(
    admin_client: Client, payment: Payment
) -> None:
    text = errors_of(opened(admin_client, payment.settlement).save(amount_1="USD"))
    assert "The settlement is in USD: a payment in EUR would count nothing." in text


def test_settlement_and_payments_change_their_currency_together(
    admin_client: Client, payment: Payment
) -> None:
    saved(opened(admin_client, payment.settlement).save(amount_1="USD", **{f"{ROW}amount_1": "USD"}))
    assert str(stored(payment).amount.currency) == "USD"


def test_a_payment_in_another_currency_that_a_program_wrote_does_not_block_the_page(
    admin_client: Client, settlement: Settlement
) -> None:
    Payment.objects.create(settlement=settlement, amount=Money(5, "JPY"))
    saved(opened(admin_client, settlement).save(description="Supper"))
    assert stored(settlement).description == "Supper"


def test_an_amount_must_stay_above_what_was_refunded_of_it(
    admin_client: Client, settlement: Settlement
) -> None:
    payment = Payment.objects.create(settlement=settlement, amount=Money(20, "EUR"), status="completed")
    payment.refunded_amount = 8
    payment.save()
    text = errors_of(opened(admin_client, settlement).save(**{f"{ROW}amount_0": "8"}))
    assert "€8.00 of it were refunded: the amount must be more than that." in text


# What is written down -----------------------------------------------------------------------------


def test_rows_are_written_down_in_the_history_of_their_payments(
    admin_client: Client, payment: Payment
) -> None:
    settlement = payment.settlement
    saved(opened(admin_client, settlement).save(**{f"{ROW}amount_0": "25"}, **new_payment(1)))
    new = settlement.payments.exclude(pk=payment.pk).get()
    assert history_of(payment) == ["Changed amount on the page of its settlement."]
    assert history_of(new) == ["Added on the page of its settlement."]
    form = opened(admin_client, settlement)
    saved(form.save(**{f"payments-{_rows(form.fields).index(str(new.pk))}-DELETE": "on"}))
    assert history_of(new)[-1] == "Deleted on the page of its settlement."


# Permissions --------------------------------------------------------------------------------------


def test_who_may_not_change_payments_saves_the_settlement(payment: Payment) -> None:
    client = operator(
        "settlements.change_settlement", "settlements.view_settlement", "settlements.view_payment"
    )
    form = opened(client, payment.settlement)
    assert f"{ROW}amount_0" not in form.fields
    saved(form.save(description="Supper"))
    assert stored(payment.settlement).description == "Supper"


def test_who_may_not_change_payments_hears_of_those_that_changed(payment: Payment) -> None:
    client = operator(
        "settlements.change_settlement", "settlements.view_settlement", "settlements.view_payment"
    )
    form = opened(client, payment.settlement)
    Payment.objects.update(status="completed")
    response = form.save(description="Supper")
    assert "Status: pending → completed by a program." in errors_of(response)
    saved(form.shown_again(response).save())


@pytest.mark.parametrize("changed", [True, False])
def test_who_may_only_delete_payments_deletes_what_did_not_change(payment: Payment, changed: bool) -> None:
    client = operator(
        "settlements.change_settlement",
        "settlements.view_settlement",
        "settlements.view_payment",
        "settlements.delete_payment",
    )
    form = opened(client, payment.settlement)
    if changed:
        Payment.objects.update(status="completed")
    response = form.save(**{f"{ROW}DELETE": "on"})
    assert Payment.objects.exists() is changed
    assert response.status_code == (200 if changed else 302)


def test_a_forged_copy_of_the_page_makes_a_settlement_of_its_own(
    admin_client: Client, payment: Payment
) -> None:
    form = opened(admin_client, payment.settlement)
    entered = {"status": "pending", "history": "unknown", f"{ROW}status": "pending"}
    saved(form.save(_saveasnew="1", **entered))
    assert Settlement.objects.count() == 2
    assert stored(payment).settlement_id == payment.settlement_id


def test_who_may_not_change_payments_hears_of_those_that_came(payment: Payment) -> None:
    client = operator(
        "settlements.change_settlement", "settlements.view_settlement", "settlements.view_payment"
    )
    form = opened(client, payment.settlement)
    Payment.objects.create(settlement=payment.settlement, amount=Money(7, "EUR"))
    response = form.save(description="Supper")
    assert "was added while the page was open" in errors_of(response)
    saved(form.shown_again(response).save())


def test_who_may_not_view_payments_saves_the_settlement(payment: Payment) -> None:
    form = opened(
        operator("settlements.change_settlement", "settlements.view_settlement"), payment.settlement
    )
    saved(form.save(description="Supper"))


def test_who_may_only_look_has_no_form(payment: Payment) -> None:
    client = operator("settlements.view_settlement", "settlements.view_payment")
    response = client.get(page_of(payment.settlement))
    assert set(fields_of(response, "settlement_form")) - {"csrfmiddlewaretoken"} <= {
        "payments-TOTAL_FORMS",
        "payments-INITIAL_FORMS",
        "payments-MIN_NUM_FORMS",
        "payments-MAX_NUM_FORMS",
        f"{ROW}id",
        f"{ROW}settlement",
        f"{ROW}shown_values",
    }
    assert response.context["moves"] == []
