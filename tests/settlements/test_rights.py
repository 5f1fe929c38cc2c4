"""One permission a verb, also about money: what each takes, that it takes nothing else, and who holds it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from settlements.models import BarredAddress
from settlements.operating.moves import Move
from settlements.operating.rights import right
from settlements.searching import VIEW_PERSON
from tests.jobqueue.admin.steps import operator

pytestmark = pytest.mark.django_db(databases=["default", "other"])

FINER = import_module("settlements.migrations.0007_verbs_of_operators").FINER
MODELS = list(apps.get_app_config("settlements").get_models())
MOVES: list[tuple[Any, Move]] = [
    (model, move)
    for model in MODELS
    if admin.site.is_registered(model)
    for move in getattr(admin.site.get_model_admin(model), "moves", ())
]
EACH_MOVE = pytest.mark.parametrize(
    ("model", "move"), [pytest.param(*one, id=f"{one[0]._meta.model_name}-{one[1].name}") for one in MOVES]
)


def _own() -> set[str]:
    named = {f"settlements.{codename}" for model in MODELS for codename, _name in model._meta.permissions}
    return named - {VIEW_PERSON}  # to look is no verb


def test_every_permission_of_its_own_is_that_of_one_verb() -> None:
    taken = [right(move.permission, model) for model, move in MOVES]
    assert sorted([*taken, right("pause", BarredAddress)]) == sorted(_own())


def _list(model: Any) -> str:
    return f"/admin/settlements/{model._meta.model_name}/"


@EACH_MOVE
def test_who_holds_all_but_that_of_the_verb_is_refused_by_its_name(model: Any, move: Move) -> None:
    others = _own() - {right(move.permission, model)}
    client = operator(right("view", model), right("change", model), *others)
    answer = client.post(_list(model), {"action": move.name, "_selected_action": ["1"]})
    assert answer.status_code == 403
    assert right(move.permission, model) in answer.content.decode()


@EACH_MOVE
def test_who_holds_that_of_the_verb_alone_is_offered_nothing_else(model: Any, move: Move) -> None:
    pages: Any = admin.site.get_model_admin(model)
    client = operator(right("view", model), right(move.permission, model))
    request = client.get(_list(model)).wsgi_request
    offered = set(pages.get_actions(request))
    assert offered & {one.name for one in pages.moves} == {move.name}


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_letters_of_a_person_have_permissions_of_their_own(verb: str) -> None:
    looks = ("view_job", "settlements.view_emaildelivery", "auth.view_user")
    others = _own() - {right(verb, BarredAddress)}
    client = operator(*looks, "settlements.add_barredaddress", *others)
    person = client.get("/admin/").wsgi_request.user
    answer = client.post(f"/admin/auth/user/{person.pk}/letters/", {"verb": verb, "reason": "asked to"})
    assert answer.status_code == 403
    assert right(verb, BarredAddress) in answer.content.decode()


def migrate(*targets: tuple[str, str]) -> None:
    executor = MigrationExecutor(connections["default"])
    executor.migrate(list(targets) or executor.loader.graph.leaf_nodes())


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_who_held_what_stood_for_several_verbs_holds_each_of_them() -> None:
    migrate(("settlements", "0006_kept_answers"))
    try:
        group = Group.objects.create(name="Night")
        rows = Permission.objects.filter(content_type__app_label="settlements")
        group.permissions.set(rows.filter(codename__in=["remind_settlement", "clear_barredaddress"]))
    finally:
        migrate()
    held = set(group.permissions.values_list("codename", flat=True))
    coarse = ("remind_settlement", "clear_barredaddress")
    assert held == {*coarse, *(name for one in coarse for name in FINER[one])}


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_group_sees_people_if_it_still_is_what_migrations_made_of_it() -> None:
    """Neither a group that lost the letters gets it, nor another one, nor a user."""
    migrate(("settlements", "0007_verbs_of_operators"))
    letters = Permission.objects.get(codename="view_emaildelivery")
    Group.objects.filter(name="Settlement operator").delete()
    try:
        kept, night = (Group.objects.create(name=name) for name in ("Settlement operator", "Night"))
        auditor = User.objects.create_user("auditor")
        for permissions in (kept.permissions, night.permissions, auditor.user_permissions):
            permissions.add(letters)
    finally:
        migrate()
    held = [set(one.values_list("codename", flat=True)) for one in (kept.permissions, night.permissions)]
    assert held == [{"view_emaildelivery", "view_person", "pause_barredaddress"}, {"view_emaildelivery"}]
    assert not User.objects.get(pk=auditor.pk).has_perm(VIEW_PERSON)


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
def test_a_group_that_a_site_changed_stays_as_it_is() -> None:
    migrate(("settlements", "0007_verbs_of_operators"))
    Group.objects.filter(name="Settlement operator").delete()
    try:
        group = Group.objects.create(name="Settlement operator")
    finally:
        migrate()
    assert not group.permissions.exists()
