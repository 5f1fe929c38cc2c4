"""Rules of models that inherit from each other, or share a table: who is heard of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, models
from django.db.models import F
from django.test.utils import isolate_apps
from pytest_django import DjangoDbBlocker

from jobqueue import rules
from jobqueue.models import AtomicSaveMixin, Job
from jobqueue.rules import enqueue_on_save
from tests.jobqueue.families import (
    TABLES,
    Document,
    Invoice,
    Letter,
    Model,
    NearPlace,
    NearRestaurant,
    NearSeat,
    Place,
    Restaurant,
    Seat,
    _heard,
)
from tests.jobqueue.processors_for_tests import SUCCEED

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("only_rules_of_the_test")]


@pytest.fixture(scope="module", autouse=True)
def _tables(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The tables of the family, made once for all tests."""
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in TABLES:
            editor.create_model(model)
    yield
    with django_db_blocker.unblock(), connection.schema_editor() as editor:
        for model in reversed(TABLES):
            editor.delete_model(model)


# Who is heard of ------------------------------------------------------------------------------------


@pytest.mark.parametrize("saved", [Place, NearPlace, Restaurant, NearRestaurant])
def test_a_rule_hears_of_saves_through_proxies_and_children_once(saved: Model) -> None:
    heard = _heard(Place, "name")
    place = saved.objects.create(name="old")
    place.name = "new"
    place.save()
    place.save()

    assert heard.changes == [
        (saved.__name__, True, {"name": (None, "old")}),
        (saved.__name__, False, {"name": ("old", "new")}),
    ]


@pytest.mark.parametrize(
    ("saved", "times"), [(Place, 0), (NearPlace, 0), (Restaurant, 2), (NearRestaurant, 2)]
)
def test_a_rule_of_a_child_hears_of_saves_as_a_child_alone(saved: Model, times: int) -> None:
    heard = _heard(Restaurant, "name", "stars")
    place = saved.objects.create(name="old")
    place.name = "new"
    place.save()

    assert len(heard.changes) == times


def test_a_rule_of_a_proxy_hears_of_saves_through_it_alone() -> None:
    heard = _heard(NearPlace, "name")
    Place.objects.create()
    Restaurant.objects.create()
    NearPlace.objects.create()

    assert [name for name, *_ in heard.changes] == ["NearPlace"]


@pytest.mark.parametrize("saved", [Seat, NearSeat])
def test_a_row_whose_key_has_two_fields_is_enqueued_through_any_class(saved: Model) -> None:
    enqueue_on_save(Seat, SUCCEED, fields=["name"], payload=lambda seat: {})
    saved.objects.create(row="A", number=7)

    assert Job.objects.get().subject == "tests.seat:('A', 7)"


def test_rules_of_parent_and_child_are_told_once_each_of_what_they_watch() -> None:
    of_parent, of_child = _heard(Place, "name"), _heard(Restaurant, "stars")
    restaurant = Restaurant.objects.create(name="old", stars=1)
    assert (len(of_parent.forget()), len(of_child.forget())) == (1, 1)

    restaurant.stars = 2
    restaurant.save()
    assert (of_parent.forget(), of_child.forget()) == ([], [("Restaurant", False, {"stars": (1, 2)})])

    restaurant.name = "new"
    restaurant.save()
    assert (of_parent.forget(), of_child.forget()) == ([("Restaurant", False, {"name": ("old", "new")})], [])


def test_a_parent_that_becomes_a_child_was_there_before() -> None:
    of_parent, of_child = _heard(Place, "name"), _heard(Restaurant, "stars")
    place = Place.objects.create(name="old")
    of_parent.forget()
    Restaurant(place_ptr=place, name="old").save()

    assert of_parent.forget() == []
    assert [created for _, created, _ in of_child.forget()] == [True]


@pytest.mark.parametrize("saved", [Letter, Invoice])
def test_a_rule_of_an_abstract_model_hears_of_all_that_inherit_from_it(saved: Model) -> None:
    heard = _heard(Document, "text")
    document = saved.objects.create(text="old")
    document.text = "new"
    document.save()

    assert heard.changes == [
        (saved.__name__, True, {"text": (None, "old")}),
        (saved.__name__, False, {"text": ("old", "new")}),
    ]


def test_a_model_that_is_defined_later_is_heard_of() -> None:
    of_parent, of_abstract = _heard(Place, "name"), _heard(Document, "text")
    with _family_goes_on():

        class LaterPlace(Place):
            class Meta:
                proxy = True
                app_label = "tests"

        class LaterLetter(Letter):
            class Meta:
                proxy = True
                app_label = "tests"

    LaterPlace.objects.create(name="new")
    LaterLetter.objects.create(text="new")

    assert [name for name, *_ in of_parent.changes] == ["LaterPlace"]
    assert [name for name, *_ in of_abstract.changes] == ["LaterLetter"]


def _family_goes_on() -> Any:
    """Models defined in the block are of the same registry as the family."""

    class GoesOn:
        def __enter__(self) -> None:
            self.before = models.options.Options.default_apps
            models.options.Options.default_apps = Place._meta.apps  # type: ignore[assignment]

        def __exit__(self, *_: Any) -> None:
            models.options.Options.default_apps = self.before

    return GoesOn()


def test_the_pretended_models_of_migrations_are_not_heard_of() -> None:
    _heard(AtomicSaveMixin, "id")
    with isolate_apps("tests"):

        class Pretended(AtomicSaveMixin):
            class Meta:
                app_label = "tests"

    assert Pretended not in [watcher.model for watcher in rules.watchers()]
    assert {apps.get_model("settlements", name) for name in ("Settlement", "Payment")} <= {
        watcher.model for watcher in rules.watchers()
    }


# What a save changed, in a family -------------------------------------------------------------------


def test_update_fields_expressions_and_deferred_fields_stay_right() -> None:
    heard = _heard(Place, "name", "visits")
    restaurant = Restaurant.objects.create(name="old", visits=1)
    heard.forget()

    restaurant.name, restaurant.visits = "new", F("visits") + 1
    restaurant.save(update_fields=["visits"])
    assert heard.forget() == [("Restaurant", False, {"visits": (1, 2)})]

    NearPlace.objects.only("key").get(pk=restaurant.pk).save()
    Restaurant.objects.defer("name").get(pk=restaurant.pk).save()
    assert heard.forget() == []


def test_a_field_that_the_database_makes_is_read_after_the_save() -> None:
    heard = _heard(Place, "loud")
    place = Place.objects.create(visits=1)
    heard.forget()
    place.visits = 7
    place.save()

    assert heard.forget() == [("Place", False, {"loud": (2, 8)})]


def test_raw_saves_of_children_and_proxies_are_not_told() -> None:
    of_parent, of_child = _heard(Place, "name"), _heard(Restaurant, "stars")
    restaurant = Restaurant.objects.create(name="old")
    of_parent.forget()
    of_child.forget()
    restaurant.name = "new"
    restaurant.save_base(raw=True)
    NearPlace(pk=restaurant.pk, name="newer").save_base(raw=True)

    assert Place.objects.get().name == "newer"
    assert (of_parent.changes, of_child.changes) == ([], [])
