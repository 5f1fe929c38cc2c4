"""What a search finds of people, settlements and payments, in the jobs' lists and in their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from jobqueue.models import Job, subject_of
from jobqueue.searching import Search, find_jobs, parse
from settlements import searching
from settlements.models import Discrepancy, EmailDelivery, Payment, ReminderDelivery, Settlement
from settlements.searching import find_payments
from tests.jobqueue.admin.steps import JOBS, ids_of, make_job, operator
from tests.languages.pseudo import every_text_marked

pytestmark = pytest.mark.django_db(databases=["default", "other"])
SETTLEMENTS = "/admin/settlements/settlement/"
PAYMENTS = "/admin/settlements/payment/"


@pytest.fixture
def rent(make_settlement: Callable[..., Settlement]) -> Settlement:
    """Another settlement between the same people."""
    return make_settlement(description="Rent for May")


def _records(text: str, user: User) -> dict[str, list[Any]]:
    search = parse(text)
    assert isinstance(search, Search)
    found: Any = find_jobs(Job.objects.all(), search, user)
    return {name: [one.record for one in records] for name, records in found.records.items()}


def _listed(client: Client, url: str, text: str) -> list[Any]:
    page = client.get(url, {"q": text})
    assert page.status_code == 200
    return list(page.context["cl"].result_list)


@pytest.mark.parametrize("form", ["{}", " {} ", "{:.8}", "{:.13}"])
def test_a_settlement_is_found_by_its_own_id(
    admin_client: Client, settlement: Settlement, rent: Settlement, form: str
) -> None:
    for text in (str(settlement.pk), str(settlement.pk).upper()):
        assert _listed(admin_client, SETTLEMENTS, form.format(text)) == [settlement]
    assert _listed(admin_client, SETTLEMENTS, settlement.pk.hex) == [settlement]


def test_a_payment_is_found_by_its_own_id_and_by_that_of_its_settlement(
    admin_client: Client, make_payment: Callable[..., Payment], settlement: Settlement, rent: Settlement
) -> None:
    payment, other = make_payment(settlement=settlement), make_payment(settlement=rent)
    assert _listed(admin_client, PAYMENTS, str(payment.pk)) == [payment]
    assert _listed(admin_client, PAYMENTS, str(rent.pk)) == [other]


def _belonging(model: type[Model], settlement: Settlement, payment: Payment) -> Model:
    """A row of this model that belongs to the settlement."""
    fields: dict[type[Model], dict[str, Any]] = {
        EmailDelivery: {"about": subject_of(settlement), "message_id": f"<{settlement.pk}@x>"},
        ReminderDelivery: {
            "settlement": settlement,
            "reminder_type": "final",
            "due_date": settlement.due_date,
            "recipient": settlement.payer,
        },
        Discrepancy: {"settlement": settlement, "payment": payment, "kind": "currency", "amount": 1},
    }
    return payment if model is Payment else model._default_manager.create(**fields[model])


BELONG_TO_A_SETTLEMENT = [
    model
    for model in apps.get_app_config("settlements").get_models()
    if admin.site.is_registered(model)
    and {"settlement", "about"} & {field.name for field in model._meta.concrete_fields}
]


@pytest.mark.parametrize("model", BELONG_TO_A_SETTLEMENT)
def test_every_list_finds_what_belongs_to_a_settlement_by_its_id_and_by_the_beginning_that_pages_show(
    admin_client: Client,
    make_payment: Callable[..., Payment],
    settlement: Settlement,
    rent: Settlement,
    model: type[Model],
) -> None:
    wanted = _belonging(model, settlement, make_payment(settlement=settlement))
    _belonging(model, rent, make_payment(settlement=rent))
    url = reverse(f"admin:settlements_{model._meta.model_name}_changelist")
    key = str(settlement.pk)
    for text in (key, key[:8], key[:13], key.upper(), settlement.pk.hex):
        assert _listed(admin_client, url, text) == [wanted]


def test_a_discrepancy_is_found_by_the_id_of_its_payment(
    admin_client: Client, make_payment: Callable[..., Payment], settlement: Settlement, rent: Settlement
) -> None:
    payment, other = make_payment(settlement=settlement), make_payment(settlement=rent)
    wanted = _belonging(Discrepancy, settlement, payment)
    _belonging(Discrepancy, rent, other)
    assert _listed(admin_client, "/admin/settlements/discrepancy/", str(payment.pk)[:8]) == [wanted]


def test_what_a_search_finds_is_named_in_the_language_of_the_page(
    make_payment: Callable[..., Payment], make_settlement: Callable[..., Settlement]
) -> None:
    settlement = make_settlement(description="")
    payment = make_payment(settlement=settlement)
    with every_text_marked():
        [[found]] = find_payments([[str(payment.pk)]], 5)
        assert found.title.startswith("⟦") and f"⟦settlement {settlement.pk}⟧" in found.title


@pytest.mark.parametrize("text", ["lisbon", "Dinner Lisbon"])
def test_the_lists_still_find_by_words(
    admin_client: Client, settlement: Settlement, rent: Settlement, text: str
) -> None:
    assert _listed(admin_client, SETTLEMENTS, text) == [settlement]


@pytest.mark.parametrize("text", ["deadbeef", "f" * 32, "00000000-0000-4000-8000-000000000000", "beef" * 9])
def test_an_id_that_nothing_has_finds_nothing(
    admin_client: Client, settlement: Settlement, text: str
) -> None:
    for url in (SETTLEMENTS, PAYMENTS, JOBS):
        assert _listed(admin_client, url, text) == []


def test_the_jobs_of_a_settlement_are_found_by_the_beginning_of_its_id(
    admin_client: Client, settlement: Settlement, rent: Settlement
) -> None:
    wanted = set(Job.objects.about(settlement).values_list("pk", flat=True))
    assert wanted
    for text in (str(settlement.pk), str(settlement.pk)[:8], f"about:{settlement.pk}", "about:lisbon"):
        assert ids_of(admin_client.get(JOBS, {"q": text})) == wanted


def test_a_payment_is_found_by_its_id_with_the_jobs_of_its_settlement(
    admin_client: Client, admin_user: User, make_payment: Callable[..., Payment], settlement: Settlement
) -> None:
    payment = make_payment(settlement=settlement)
    assert _records(str(payment.pk), admin_user) == {"settlements.payments": [payment]}
    assert ids_of(admin_client.get(JOBS, {"q": str(payment.pk)})) == set(
        Job.objects.about(settlement).values_list("pk", flat=True)
    )


@pytest.mark.parametrize("text", ["payer@example.com", "payer", "Pia", "Pia Payer", '"Pia"'])
def test_a_person_is_found_by_name_and_by_address_with_the_jobs_of_what_he_owes(
    admin_client: Client, admin_user: User, settlement: Settlement, payer: User, text: str
) -> None:
    payer.email = "payer@example.com"
    payer.save()
    assert _records(text, admin_user)["settlements.people"] == [payer]
    wanted = set(Job.objects.about(settlement).values_list("pk", flat=True))
    assert wanted <= ids_of(admin_client.get(JOBS, {"q": text}))


def test_people_of_one_name_are_told_apart(admin_client: Client, admin_user: User) -> None:
    for number, name in enumerate(("anna1", "anna2")):
        email = f"{name}@post{number}.example"
        User.objects.create(username=name, email=email, first_name="Anna", last_name="Roth")
    User.objects.create(username="annb", first_name="Annb", last_name="Roth")
    groups = admin_client.get(JOBS, {"q": "Roth"}).context["searched"].groups
    [people] = [group for group in groups if group.title == "People"]
    assert [entry.label for entry in people.entries] == [
        "Annb Roth",
        "Anna Roth (anna2, a… at post1.example)",
        "Anna Roth (anna1, a… at post0.example)",
    ]


@pytest.mark.parametrize("permission", ["settlements.view_person", "auth.view_user"])
def test_people_are_found_by_who_may_see_them_or_the_users_of_the_site(payer: User, permission: str) -> None:
    finder = operator(permission, username="finder").get("/admin/").wsgi_request.user
    other = operator("view_job", username="other").get("/admin/").wsgi_request.user
    assert _records(payer.get_full_name(), finder) == {"settlements.people": [payer]}
    assert _records(payer.get_full_name(), other) == {}


def test_an_address_finds_the_e_mails_and_the_reminders_of_its_person(
    admin_client: Client, payer: User
) -> None:
    wanted = {
        make_job(payload={"email": payer.email.upper(), "user_id": None}).pk,
        make_job(payload={"user_id": payer.pk}).pk,
    }
    make_job(payload={"user_id": payer.pk + 1_000, "email": f"a{payer.email}"})
    assert ids_of(admin_client.get(JOBS, {"q": f"email:{payer.email}"})) == wanted


def test_a_search_of_ten_words_asks_no_more_than_one_of_one_word(
    admin_user: User, settlement: Settlement
) -> None:
    with CaptureQueriesContext(connection) as of_one:
        _records("lisbon", admin_user)
    with CaptureQueriesContext(connection) as of_ten:
        _records("lisbon " * 10, admin_user)
    assert len(of_ten) == len(of_one)


def test_that_a_person_has_more_settlements_than_are_looked_at_is_said(
    admin_user: User, settlement: Settlement, rent: Settlement, payer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_cut(text: str) -> bool:
        found: Any = find_jobs(Job.objects.all(), parse(text), admin_user)  # type: ignore[arg-type]
        return bool(found.records_cut)

    assert not is_cut("Pia")
    monkeypatch.setattr(searching, "_MOST_OF_A_PERSON", 1)
    assert is_cut("Pia") and is_cut("about:Pia")
    assert not is_cut(f"email:{payer.email}")  # whose jobs are found by their arguments


# People by their names ------------------------------------------------------------------------------


@pytest.fixture
def ben() -> User:
    """Somebody among people who have one of the names."""
    User.objects.create_user("benny", first_name="Ben", last_name="Alves")
    User.objects.create_user("zorn", first_name="Berger", last_name="Zorn")
    return User.objects.create_user("bb", first_name="Ben", last_name="Berger")


@pytest.mark.parametrize(
    "text",
    [
        *('"Ben Berger"', '"ben  BERGER"', '"Berger Ben"', '"en Berg"', 'about:"Ben Berger"'),
        '"Ben Berger" bb',
    ],
)
def test_a_person_is_found_by_the_whole_name_in_quotes(ben: User, payer: User, text: str) -> None:
    job = make_job("completed", subject=subject_of(ben))
    make_job("completed", subject=subject_of(payer))
    search = parse(text)
    assert isinstance(search, Search)
    found: Any = find_jobs(Job.objects.all(), search, _superuser())
    assert list(found.jobs) == [job]


@pytest.mark.parametrize("text", ['"Ben Zorn"', '"Ben Berger Zorn"', '"Berger Berger"', '"Ben_Berger"'])
def test_a_whole_name_that_nobody_has_finds_nobody(ben: User, text: str) -> None:
    assert "settlements.people" not in _records(text, _superuser())


def _superuser() -> User:
    return User.objects.create_superuser("root")
