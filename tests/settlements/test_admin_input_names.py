"""Whoever hears the forms knows what each input takes: those without a label are named."""

from __future__ import annotations

import re

from django.test import Client

from settlements.models import Payment, Settlement

ADD = "/admin/settlements/settlement/add/"


def _names(page: str) -> dict[str, str]:
    """The name that is said of each input that has one of its own."""
    inputs = re.findall(r"<(?:input|select)\b[^>]*>", page)
    names = {
        name[1]: said[1]
        for tag in inputs
        if (name := re.search(r' name="([^"]*)"', tag)) and (said := re.search(r'aria-label="([^"]*)"', tag))
    }
    return names


def test_the_parts_of_an_amount_and_of_a_time_are_named(admin_client: Client) -> None:
    names = _names(admin_client.get(ADD).content.decode())
    assert names["amount_0"] == "Amount"
    assert names["amount_1"] == "Amount: Currency"
    assert (names["due_date_0"], names["due_date_1"]) == ("Due date: Date", "Due date: Time")


def test_every_input_in_the_table_of_payments_is_named(admin_client: Client, settlement: Settlement) -> None:
    Payment.objects.create(settlement=settlement, amount=settlement.amount)
    page = admin_client.get(f"/admin/settlements/settlement/{settlement.pk}/change/").content.decode()
    names = _names(page)
    for part in ("amount_0", "amount_1", "failure_reason", "DELETE"):
        assert names.get(f"payments-0-{part}"), part
    assert names["payments-__prefix__-status"] == "Status"
