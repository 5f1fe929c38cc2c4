"""A family of models with rules, and a rule that remembers what it was told."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import F
from django.test.utils import isolate_apps

from jobqueue.models import AtomicSaveMixin
from jobqueue.rules import Change, enqueue_on_save, on_save
from tests.jobqueue.processors_for_tests import SUCCEED

Model = Any


_family = isolate_apps("tests")


_family.enable()


try:

    class Document(AtomicSaveMixin):
        """What letters have in common."""

        text = models.CharField(max_length=100, default="")

        class Meta:
            abstract = True
            app_label = "tests"

    class Draft(Document):
        """What no model inherits from."""

        class Meta:
            abstract = True
            app_label = "tests"

    class Letter(Document):
        """A document with rows."""

        class Meta:
            app_label = "tests"

    class Person(AtomicSaveMixin):
        """For which a project may name another model."""

        name = models.CharField(max_length=100, default="")

        class Meta:
            app_label = "tests"
            swappable = "TESTS_PERSON_MODEL"

    class Invoice(Document):
        """Another one, whose key is made by its default."""

        id = models.UUIDField(primary_key=True, default=uuid.uuid4)

        class Meta:
            app_label = "tests"

    class Place(AtomicSaveMixin):
        """A parent with rows of its own."""

        name = models.CharField(max_length=100, default="")
        visits = models.IntegerField(default=0)
        letters: ClassVar[Any] = models.ManyToManyField(Letter, related_name="places")
        next = models.ForeignKey("self", models.CASCADE, null=True, related_name="before")
        kind = models.ForeignKey(ContentType, models.CASCADE, null=True, related_name="+")
        key = models.IntegerField(null=True)
        anything = GenericForeignKey("kind", "key")
        loud = models.GeneratedField(
            expression=F("visits") + 1, output_field=models.IntegerField(), db_persist=True
        )

        class Meta:
            app_label = "tests"

        @property
        def title(self) -> str:
            """No field."""
            return self.name.title()

    class Restaurant(Place):
        """A child with a table of its own."""

        stars = models.IntegerField(default=0)

        class Meta:
            app_label = "tests"

    class NearPlace(Place):
        """The parent under another class."""

        class Meta:
            proxy = True
            app_label = "tests"

    class NearRestaurant(Restaurant):
        """The child under another class."""

        class Meta:
            proxy = True
            app_label = "tests"

    class Seat(AtomicSaveMixin):
        """A model whose primary key has two fields."""

        pk = models.CompositePrimaryKey("row", "number")
        row = models.CharField(max_length=10)
        number = models.IntegerField()
        name = models.CharField(max_length=100, default="")

        class Meta:
            app_label = "tests"

    class NearSeat(Seat):
        """It under another class."""

        class Meta:
            proxy = True
            app_label = "tests"

    class Plain(models.Model):
        """A model whose saves are not atomic."""

        name = models.CharField(max_length=100, default="")

        class Meta:
            app_label = "tests"

finally:
    _family.disable()


TABLES: list[Model] = [Letter, Invoice, Place, Restaurant, Seat, Plain]


class Heard:
    """A rule that remembers what it was told."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bool, dict[str, Any]]] = []

    def __call__(self, instance: Any, change: Change) -> None:
        self.changes.append((type(instance).__name__, change.created, change.fields))

    def forget(self) -> list[tuple[str, bool, dict[str, Any]]]:
        """What it was told since the last time."""
        told, self.changes = self.changes, []
        return told


def _heard(model: Model, *fields: str) -> Heard:
    heard = Heard()
    on_save(model, heard, fields=list(fields))
    return heard


def _rule(model: Model, **options: Any) -> None:
    enqueue_on_save(
        model, options.pop("processor", SUCCEED), fields=options.pop("fields", ["name"]), **options
    )


def says(step: str) -> Callable[[Any], dict[str, Any]]:
    return lambda place: {"step": step}
