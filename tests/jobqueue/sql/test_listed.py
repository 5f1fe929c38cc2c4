"""Rows with one of many keys, as `pk__in` finds them."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import Group

from jobqueue.sql.listed import has_key
from settlements.models import Settlement
from tests.jobqueue.admin.steps import make_job

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("picked", [[], [0], [0, 2], [0, 0, 1, 2]])
def test_rows_are_found_by_their_numbers(picked: list[int]) -> None:
    groups = [Group.objects.create(name=f"group {number}") for number in range(3)]
    found = Group.objects.filter(has_key([groups[one].pk for one in picked], "default"))
    assert set(found) == {groups[one] for one in picked}


def test_a_number_that_no_row_has_finds_nothing() -> None:
    assert not type(make_job()).objects.filter(has_key([2**40], "default"))


def test_rows_are_found_by_their_uuids(settlement: Settlement) -> None:
    rows = Settlement.objects.filter(has_key([uuid.uuid4(), settlement.pk], "default"))
    assert list(rows) == [settlement]


def test_what_is_not_listed_is_left(settlement: Settlement) -> None:
    assert list(Settlement.objects.exclude(has_key([uuid.uuid4()], "default"))) == [settlement]
    assert not Settlement.objects.exclude(has_key([settlement.pk], "default"))
