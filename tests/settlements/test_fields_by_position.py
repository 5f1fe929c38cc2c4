"""Saves that give their arguments by position, as Django 5.2 still takes them, with a warning."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from moneyed import Money

from settlements.models import Settlement

pytestmark = pytest.mark.django_db


@pytest.mark.filterwarnings("ignore:Passing positional arguments")
def test_update_fields_by_position_are_those_that_are_written(settlement: Settlement) -> None:
    settlement.amount, settlement.description = Money(7, "EUR"), "another"
    settlement.save(False, False, None, ["amount"])

    stored = Settlement.objects.get(pk=settlement.pk)
    assert stored.amount == Money(7, "EUR")
    assert stored.description != "another"


@pytest.mark.filterwarnings("ignore:Passing positional arguments")
def test_update_fields_by_position_take_their_markers_along(settlement: Settlement) -> None:
    settlement.due_date += timedelta(days=1)
    settlement.save(False, False, None, ["due_date"])

    stored = Settlement.objects.get(pk=settlement.pk)
    assert stored.due_date == getattr(stored, Settlement.ANNOUNCED["due_date"]) == settlement.due_date


@pytest.mark.filterwarnings("ignore:Passing positional arguments")
def test_what_is_given_twice_or_is_too_much_is_refused_as_django_does(settlement: Settlement) -> None:
    with pytest.raises(TypeError, match="got multiple values for argument 'update_fields'"):
        settlement.save(False, False, None, ["amount"], update_fields=["amount"])
    with pytest.raises(TypeError, match="takes from 1 to 5 positional arguments but 6 were given"):
        settlement.save(False, False, None, ["amount"], "more")


@pytest.mark.filterwarnings("ignore:Passing positional arguments")
def test_force_update_by_position_of_a_row_that_is_gone_is_refused(settlement: Settlement) -> None:
    Settlement.objects.filter(pk=settlement.pk).delete()

    with pytest.raises(DatabaseError):
        settlement.save(False, True)


def test_fields_that_can_be_read_once_only_are_written(settlement: Settlement) -> None:
    settlement.description = "another"
    settlement.save(update_fields=(name for name in ["description"]))

    assert Settlement.objects.get(pk=settlement.pk).description == "another"


def test_a_field_that_the_model_does_not_have_is_refused_as_django_does(settlement: Settlement) -> None:
    with pytest.raises(ValueError, match="do not exist in this model"):
        settlement.save(update_fields=["amuont"])
