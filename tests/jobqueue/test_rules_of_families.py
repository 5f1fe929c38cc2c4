"""Rules of models that inherit: each save of a row is heard of, once; what cannot be watched is named."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.core.checks import CheckMessage
from django.db import connection, models
from django.db.models import F
from django.db.models.signals import class_prepared, post_save, pre_save
from django.test.utils import isolate_apps
from pytest_django import DjangoDbBlocker

from jobqueue import rule_checks, rules
from jobqueue.exceptions import InvalidPayload, InvalidRule
from jobqueue.jobs import processor
from jobqueue.models import AtomicSaveMixin, Job
from jobqueue.rules import Change, enqueue_on_save, on_save
from tests.jobqueue.processors_for_tests import COUNTED, SUCCEED, TAKES_A_NUMBER

pytestmark = pytest.mark.django_db

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


@pytest.fixture(autouse=True)
def _only_rules_of_the_test(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(rules, "_watchers", {})
    for signal in (pre_save, post_save):
        monkeypatch.setattr(signal, "receivers", [])
        signal.sender_receivers_cache.clear()
    yield
    for signal in (pre_save, post_save):
        signal.sender_receivers_cache.clear()


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


def _found() -> list[CheckMessage]:
    return rule_checks.check_rules(None)


# Who is heard of ----------------------------------------------------------------------------------


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


# What a save changed, in a family ------------------------------------------------------------------


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


# Keys ---------------------------------------------------------------------------------------------


def _payloads() -> list[dict[str, Any]]:
    return list(Job.objects.order_by("id").values_list("payload", flat=True))


def _rule(model: Model, **options: Any) -> None:
    enqueue_on_save(
        model, options.pop("processor", SUCCEED), fields=options.pop("fields", ["name"]), **options
    )


def test_two_rules_for_one_processor_and_row_make_two_jobs() -> None:
    _rule(Place, payload=lambda place: {"step": "pack"})
    _rule(Place, payload=lambda place: {"step": "ship"})
    _rule(Place, payload=lambda place: {"step": "thank"}, delay=60)
    place = Place.objects.create()
    place.name = "new"
    place.save()

    assert _payloads() == [{"step": "pack"}, {"step": "ship"}, {"step": "thank"}]


def test_rules_made_in_a_loop_make_a_job_each() -> None:
    for step in ("pack", "ship"):
        _rule(Place, payload=lambda place, step=step: {"step": step})
    for step in ("thank", "ask"):
        _rule(Place, payload=_says(step))
    Place.objects.create()

    assert _payloads() == [{"step": step} for step in ("pack", "ship", "thank", "ask")]


def _says(step: str) -> Callable[[Any], dict[str, Any]]:
    return lambda place: {"step": step}


def test_a_rule_that_is_made_twice_makes_one_job() -> None:
    for _ in range(2):
        _rule(Place, payload=lambda place: {"step": "pack"})
        _rule(Place, payload=_says("ship"), when=lambda place, change: change.created)
    Place.objects.create()

    assert _payloads() == [{"step": "pack"}, {"step": "ship"}]


def test_the_first_rules_key_is_the_processor_and_the_row() -> None:
    _rule(Place)
    _rule(Place, payload=lambda place: {"step": "ship"})
    _rule(Place, payload=lambda place: {"step": "thank"}, name="thanks")
    place = Place.objects.create()

    assert list(Job.objects.order_by("id").values_list("unique_key", flat=True)) == [
        f"{SUCCEED}:tests.place:{place.pk}",
        f"{SUCCEED}:tests.place:{place.pk}:2",
        f"{SUCCEED}:tests.place:{place.pk}:thanks",
    ]


def test_saves_of_one_row_through_different_classes_make_one_job_about_it() -> None:
    _rule(Place)
    restaurant = Restaurant.objects.create(name="old")
    for number, model in enumerate((Place, NearPlace, NearRestaurant)):
        place = model.objects.get(pk=restaurant.pk)
        place.name = str(number)
        place.save()
    [job] = Job.objects.all()

    assert job.subject == f"tests.place:{restaurant.pk}"
    assert job in Job.objects.about(Place.objects.get())


@pytest.mark.parametrize("key", ["x" * 300, "soft\xadhyphen", "line\nbreak", "ü" * 190])
def test_whatever_the_primary_key_is_the_key_of_the_job_fits(key: str) -> None:
    keys = {
        rules.EnqueueRule(model, SUCCEED, lambda *_: True, lambda _: {}, None)._key(model(pk=key))
        for model in (Letter, Place)
    }

    assert len(keys) == 2
    assert all(len(each) <= 200 and each.isprintable() for each in keys)


# What check says ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("nmae", "Place has no field 'nmae'; it has: .*name"),
        ("pk", "'pk' is an attribute of Place, no field of it"),
        ("title", "'title' is an attribute of Place, no field of it: watch the fields that it reads"),
        ("letters", "'letters' is a many-to-many field.*m2m_changed of Place.letters.through"),
        ("anything", "'anything' is not stored in a column of Place: watch 'kind', 'key'"),
        ("before", "'before' is the other side of a relation: make the rule for Place"),
        ("restaurant", "'restaurant' is the other side of a relation: make the rule for Restaurant"),
        (5, "5 is no name of a field"),
    ],
)
def test_what_cannot_be_watched_is_an_error_and_refuses_saves(field: Any, why: str) -> None:
    on_save(Place, Heard(), fields=["name", field])
    [message] = _found()

    assert message.id == "jobqueue.E030"
    assert message.msg.startswith(
        "the rule for tests.Place that calls tests.jobqueue.test_rules_of_families.Heard: "
    )
    with pytest.raises(InvalidRule, match=f"a rule for tests.Place cannot fire: {why}"):
        Place.objects.create()
    assert not Place.objects.exists()


def test_the_other_side_of_a_many_to_many_relation_is_an_error() -> None:
    _heard(Letter, "places")

    assert [message.id for message in _found()] == ["jobqueue.E030"]


@pytest.mark.parametrize("field", ["next", "next_id", "kind", "loud", "name"])
def test_every_column_can_be_watched(field: str) -> None:
    _heard(Place, field)

    assert _found() == []


def test_a_rule_of_an_abstract_model_is_checked_where_it_has_rows() -> None:
    _heard(Document, "txet")

    assert [message.msg.split(":")[0] for message in _found()] == [
        "the rule for tests.Letter that calls tests.jobqueue.test_rules_of_families.Heard",
        "the rule for tests.Invoice that calls tests.jobqueue.test_rules_of_families.Heard",
    ]


@pytest.mark.parametrize("fields", ["name", "status"])
def test_fields_given_as_one_text_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidRule, match=f"must be a list of names, not the text '{fields}'"):
        on_save(Place, Heard(), fields=fields)


@pytest.mark.parametrize("fields", [None, 5, [["name"]]])
def test_fields_that_are_no_list_of_names_are_refused(fields: Any) -> None:
    with pytest.raises(InvalidRule, match="must be a list of names, not "):
        on_save(Place, Heard(), fields=fields)


@pytest.mark.parametrize("model", ["tests.Place", None, Heard, Place(name="one")])
def test_a_rule_for_what_is_no_model_is_refused(model: Any) -> None:
    with pytest.raises(InvalidRule, match="a rule is for a model"):
        enqueue_on_save(model, SUCCEED, fields=["name"])


def test_a_processor_that_is_not_there_is_an_error_with_the_one_that_was_meant() -> None:
    _rule(Place, processor="sample.suceed")
    [message] = _found()

    assert message.id == "jobqueue.E031"
    assert "no processor named 'sample.suceed'; did you mean 'sample.succeed'?" in message.msg


def test_a_rule_on_what_no_model_inherits_from_is_an_error() -> None:
    on_save(Draft, Heard(), fields=[])
    [message] = _found()

    assert message.id == "jobqueue.E036"
    assert "no model inherits from it" in message.msg


def test_a_rule_on_a_model_that_another_one_stands_for_is_an_error(settings: LazySettings) -> None:
    _rule(Person)
    assert _found() == []
    settings.TESTS_PERSON_MODEL = "tests.Place"
    [message] = _found()

    assert message.id == "jobqueue.E036"
    assert "tests.Place stands in its place (TESTS_PERSON_MODEL)" in message.msg


class _PlacesElsewhere:
    """Keeps places in a database without jobs."""

    def db_for_write(self, model: Model, **_: Any) -> str | None:
        return "other" if model is Place else None

    def allow_migrate(self, db: str, app_label: str, **_: Any) -> bool | None:
        return db != "other" if app_label == "jobqueue" else None


def test_a_rule_on_what_is_kept_where_no_jobs_are_is_an_error(settings: LazySettings) -> None:
    settings.DATABASE_ROUTERS = [_PlacesElsewhere()]
    on_save(Place, Heard(), fields=[])
    assert _found() == []
    _rule(Place)
    [message] = _found()

    assert message.id == "jobqueue.E037"
    assert "tests.Place has rules that enqueue: it is written to the database 'other'" in message.msg


@pytest.mark.parametrize("model", [Plain, ContentType])
def test_a_model_whose_saves_are_not_atomic_is_an_error(model: Model) -> None:
    on_save(model, Heard(), fields=[])
    enqueue_on_save(model, SUCCEED, fields=[])
    [message] = _found()

    assert message.id == "jobqueue.E032"
    assert message.msg.startswith(f"{model._meta.label} has rules")
    assert message.hint is not None
    assert message.hint.startswith("Have the model inherit from jobqueue.models.AtomicSaveMixin.")


async def coroutine(instance: Any, change: Change) -> None:
    """Would never run."""


def generator(instance: Any, change: Change) -> Iterator[None]:
    """Would never run."""
    yield


@pytest.mark.parametrize(
    "function", [None, "rule", coroutine, generator, lambda instance: None, lambda: None]
)
def test_a_function_that_would_not_run_is_an_error(function: Any) -> None:
    on_save(Place, function, fields=["name"])
    _rule(Place, when=function)

    assert [message.id for message in _found()] == ["jobqueue.E033"] * 2


@pytest.mark.parametrize("payload", [None, {"pk": 1}, "pk", lambda place, change: {}, coroutine])
def test_a_payload_that_cannot_be_made_is_an_error(payload: Any) -> None:
    _rule(Place, payload=payload)

    assert [message.id for message in _found()] == ["jobqueue.E033"]


@pytest.mark.parametrize(
    ("model", "taking", "payload", "why"),
    [
        (Place, SUCCEED, lambda place: {"a": place.nmae}, "reads 'nmae', which Place does not have"),
        (Restaurant, SUCCEED, lambda place: {"a": place.chef.pk}, "reads 'chef', which Restaurant does not"),
        (Place, SUCCEED, lambda place: [place.pk], "must be a dict, not"),
        (
            Invoice,
            SUCCEED,
            lambda invoice: {"a": invoice.pk},
            "payload.a is uuid.UUID, which JSON does not carry",
        ),
        (
            Place,
            TAKES_A_NUMBER,
            lambda place: {"pk": place.pk},
            "has 'pk', which the processor does not take; it",
        ),
    ],
)
def test_a_payload_that_names_what_is_not_there_is_an_error(
    model: Model, taking: str, payload: Any, why: str
) -> None:
    _rule(model, processor=taking, payload=payload, fields=())
    [message] = _found()

    assert message.id == "jobqueue.E034"
    assert why in message.msg


@pytest.mark.parametrize("name", ["run_at", "delay", "unique_key", "subject", "using", "processor"])
def test_a_payload_with_a_name_that_enqueue_takes_is_an_error_and_refuses_the_save(name: str) -> None:
    _rule(Place, payload=lambda place: {"pk": 1, name: None})
    [message] = _found()

    assert message.id == "jobqueue.E034"
    assert f"its payload has '{name}', which enqueue() takes for itself" in message.msg
    with pytest.raises(InvalidPayload, match=f"has '{name}', which enqueue"):
        Place.objects.create()


def test_a_payload_that_lacks_what_the_processor_takes_is_a_warning() -> None:
    _rule(Place, processor=TAKES_A_NUMBER, payload=lambda place: {})

    assert [message.id for message in _found()] == ["jobqueue.W034"]


@pytest.mark.parametrize(
    "payload",
    [
        lambda place: {"number": place.next.visits},
        lambda place: {"number": place.letters.count()},
        lambda place: {"number": len(Place.objects.all())},
        lambda place: {"number": place.visits},
        lambda place: {"number": 1 / place.visits},
    ],
)
def test_a_payload_that_needs_values_or_rows_passes(payload: Any) -> None:
    _rule(Place, processor=TAKES_A_NUMBER, payload=payload)

    assert _found() == []


@pytest.mark.parametrize(
    "options",
    [
        {"delay": float("nan")},
        {"delay": "soon"},
        {"delay": True},
        {"delay": float("inf")},
        {"delay": timedelta(days=3_000_000)},
        {"delay": 10**12},
        {"delay": timedelta.max},
        {"delay": -1},
        {"delay": timedelta(minutes=-5)},
        {"name": 5},
    ],
)
def test_options_that_make_no_sense_are_an_error(options: Any) -> None:
    _rule(Place, **options)

    assert [message.id for message in _found()] == ["jobqueue.E035"]


@pytest.mark.parametrize("names", [("thanks", "thanks"), ("2", "")])
def test_rules_whose_jobs_would_be_one_are_an_error(names: tuple[str, str]) -> None:
    for step, name in zip(("pack", "ship"), names, strict=True):
        _rule(Place, payload=_says(step), name=name)

    assert {message.id for message in _found()} == {"jobqueue.E035"}


def test_rules_for_two_processors_may_have_one_name() -> None:
    for name in (SUCCEED, COUNTED):
        _rule(Place, processor=name, name="thanks")

    assert _found() == []


def test_what_is_done_before_a_save_is_checked_too() -> None:
    rules.before_save(Place, lambda place, stored, using: None, columns=["name", "nmae"])
    rules.before_save(Place, lambda place: None, columns=[])

    assert [message.id for message in _found()] == ["jobqueue.E030", "jobqueue.E033"]


def test_a_good_rule_of_every_kind_passes() -> None:
    _heard(Document, "text")
    _heard(NearPlace, "name")
    _rule(Restaurant, fields=("name", "stars"), when=lambda place, change: "stars" in change, delay=5)
    processor("sample.with_default", queue="email")(lambda pk, loud=False: None)
    _rule(Place, processor="sample.with_default")

    assert _found() == []


def test_models_that_are_defined_are_met_once() -> None:
    uids = [key for key, *_ in class_prepared.receivers if key[0] == "jobqueue.rules"]

    assert len(uids) == 1
