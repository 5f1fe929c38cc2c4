"""Nonsense in any field of any form of the admin is answered by a page; what is no key is not looked up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from tests.jobqueue.admin import world
from tests.jobqueue.admin.sent_forms import SentForm, forms_on
from tests.jobqueue.admin.steps import text_of
from tests.jobqueue.admin.test_every_page import _rows, client_of
from tests.jobqueue.admin.world import World
from tests.jobqueue.groups import OPERATORS, member_of

pytestmark = pytest.mark.django_db(databases=["default", "other"])
NO_KEYS = ("", "abc", "\x00", "9" * 21, "1e9", "\ud800", "x" * 1_000_000)
TEXTS = (*NO_KEYS, "-1")
ALONE = {"postgresql": "\x00", "sqlite": "9" * 21}
"""What each field is sent alone, which is what that database cannot take; the others all fields at once."""
CHOSEN = "_selected_action"
OF_PEOPLE = ("auth_user_add", "auth_user_change", "auth_user_changelist", "auth_group_changelist")


def _name(text: str) -> str:
    return ascii(text[:6])


@pytest.fixture
def here() -> World:
    """One row of everything."""
    Group.objects.get_or_create(name="Night")
    return world.build()


def _addresses(here: World) -> Iterator[str]:
    yield from (world.address(name, here) for name in world.names())
    for name in OF_PEOPLE:
        keys = [here.keys["settlements_person"]] if name.endswith("_change") else []
        yield reverse(f"admin:{name}", args=keys)


def _forms(client: Client, here: World) -> list[SentForm]:
    """Every form of every page, once."""
    found: dict[tuple[str, frozenset[str]], SentForm] = {}
    for url in _addresses(here):
        page = client.get(url)
        if page.status_code == 200 and page["Content-Type"].startswith("text/html"):
            for form in forms_on(url, page.content.decode()):
                found.setdefault((form.url.partition("?")[0], frozenset(form.data)), form)
    return list(found.values())


def _status(client: Client, form: SentForm, changed: dict[str, list[str]]) -> int:
    """What it is answered; nothing of it stays."""
    with transaction.atomic(), transaction.atomic("other"):
        answer = form.send(client, changed)
        for using in ("default", "other"):
            transaction.set_rollback(True, using)
    return answer.status_code


def _fields(form: SentForm) -> list[str]:
    """What of it is looked at: not the empty row that a page keeps, nor how many rows there are."""
    return [name for name in form.data if "__prefix__" not in name and not name.endswith("_FORMS")]


def test_no_field_of_a_form_fails_by_what_is_sent(here: World) -> None:
    client = client_of("superuser")
    client.raise_request_exception = False
    failed, forms, alone_here = set(), _forms(client, here), ALONE[connection.vendor]
    for form in forms:
        alone = [{name: [alone_here]} for name in _fields(form)]
        together = [dict.fromkeys(_fields(form), [text]) for text in TEXTS if text != alone_here]
        for changed in (*alone, *together):
            if _status(client, form, changed) >= 500:
                failed.add((form.url, *(name for name in changed), _name(*changed[[*changed][0]])))
    assert failed == set()
    expected = ("settlements_settlement_add", "settlements_payment_change", "settlements_barredaddress_add")
    expected += ("jobqueue_queue_change", "jobqueue_processorlimits_change", "jobqueue_job_move")
    walked = {form.url for form in forms}
    assert {name for name in expected if world.address(name, here) not in walked} == set()
    assert len(walked) > 30


def test_no_action_takes_what_can_be_no_key(here: World) -> None:
    client = client_of("superuser")
    lists = [form for form in _forms(client, here) if CHOSEN in form.data and form.actions]
    before, answered = _rows(), set()
    for form in lists:
        for asked in ({"action": [action], "confirmed": [action]} for action in form.actions):
            for key in NO_KEYS:
                sent = {**asked, "reason": ["told to"], CHOSEN: [key], "index": ["0"]}
                answered.add((form.url, form.send(client, sent).status_code))
    assert len(lists) > 8
    assert {status for _url, status in answered} == {302}, answered
    assert _rows() == before


def test_a_key_that_can_be_none_is_named_to_the_operator(here: World) -> None:
    client = member_of(*OPERATORS, username="operator")
    url = world.address("settlements_settlement_changelist", here)
    page = client.post(url, {"action": "pause_reminders", CHOSEN: "abc", "index": "0"}, follow=True)
    assert "Nothing was done: no settlement can have the key “abc”." in text_of(page)


@pytest.mark.parametrize("key", ["abc", "\x00", "9" * 21])
@pytest.mark.parametrize("field", ["payer", "payee", "settlement"])
def test_a_record_that_can_be_none_is_an_error_of_its_field(field: str, key: str, here: World) -> None:
    client = client_of("superuser")
    model = "payment" if field == "settlement" else "settlement"
    before = _rows()
    for view in ("add", "change"):
        url = world.address(f"settlements_{model}_{view}", here)
        assert client.get(url, {field: key}).status_code == 200
        page = client.post(url, {field: key})
        assert page.status_code == 200
        assert field in page.context["adminform"].form.errors
    assert _rows() == before


@pytest.mark.parametrize("text", [*TEXTS[:-2], "-1", "2026-01-01", "5 EUR", "a b c"], ids=_name)
def test_no_word_of_an_address_fails_a_form(text: str, here: World) -> None:
    client, value = client_of("superuser"), text.encode("utf-8", "surrogatepass")
    words = (
        "description",
        "payer",
        "settlement",
        "amount",
        "amount_0",
        "due_date",
        "status",
        "history",
        "groups",
    )
    words += ("_changelist_filters", "_popup", "address", "cause", "refunded_amount", "user_permissions")
    for model in ("settlements_settlement", "settlements_payment", "settlements_barredaddress", "auth_user"):
        url = reverse(f"admin:{model}_add")
        assert client.get(url, dict.fromkeys(words, value)).status_code == 200
        assert client.get(url, {"_to_field": value}).status_code in (200, 400)


def test_what_an_address_names_for_a_form_is_in_it(here: World) -> None:
    payer = here.keys["settlements_person"]
    words = {
        "payer": payer,
        "description": "Dinner",
        "amount": "12.50",
        "due_date": "2030-01-31",
        "payee": "x",
    }
    text = text_of(client_of("superuser").get(reverse("admin:settlements_settlement_add"), words))
    for shown in (
        f'<option value="{payer}" selected',
        'value="Dinner"',
        'value="12.50"',
        'value="2030-01-31"',
    ):
        assert shown in text


def test_what_is_searched_for_in_a_form_is_what_there_can_be(here: World) -> None:
    client = client_of("superuser")
    asked = {"app_label": "settlements", "model_name": "payment", "field_name": "settlement", "term": "\x00"}
    assert client.get("/admin/autocomplete/", asked).json()["results"] == []
    for name in ("app_label", "model_name", "field_name"):
        for text in ("", "abc", "\x00", "a.b"):
            assert client.get("/admin/autocomplete/", {**asked, name: text}).status_code == 403


def test_a_person_of_whom_nothing_is_chosen_is_left_alone(here: World) -> None:
    people = User.objects.count()
    data = {"action": "delete_selected", "post": "yes", CHOSEN: ["abc"]}
    assert client_of("superuser").post("/admin/auth/user/", data).status_code == 302
    assert User.objects.count() == people + 1
