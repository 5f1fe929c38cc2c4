"""What `settlements.rows` reads of one letter, of many at once, by a few questions for all of them.

Which later reminders went out, and which letters before, is not looked at: that takes a question for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from settlements.models import BarredAddress, PaidByPayments, Payment, Settlement
from settlements.rows import Question, Rows, email_of


def read_many(questions: Sequence[Question], using: str) -> list[Rows]:
    """The rows of each of these letters, by at most four statements; `is_barred` is left out."""
    payments = _by_key(Payment.objects.using(using), (one.payment_id for one in questions))
    named = [one.settlement_id for one in questions]
    about = [payment.settlement_id for payment in payments.values()]
    rows = Settlement.objects.using(using).select_related("payer", "payee")
    settlements = _by_key(rows.annotate(counted=PaidByPayments()), [*named, *about])
    people = {person.pk: person for one in settlements.values() for person in (one.payer, one.payee)}
    users = get_user_model()._default_manager.using(using)
    missing = {_key(users.model, one.user_id) for one in questions} - people.keys()
    people |= _by_key(users, missing)
    return [_rows(one, payments, settlements, people) for one in questions]


def barred_among(addresses: Iterable[str], using: str) -> dict[str, str]:
    """Those of the addresses, in small letters, to which nothing is sent, each with the cause."""
    asked = list(filter(None, addresses))
    rows = BarredAddress.objects.using(using).barred().among(*asked)
    return dict(rows.values_list("address", "cause")) if asked else {}


def address_of(question: Question, rows: Rows) -> str:
    """Where the letter would go."""
    return question.address or (email_of(rows.person) if rows.person is not None else "")


def _rows(
    question: Question,
    payments: dict[Any, Payment],
    settlements: dict[Any, Settlement],
    people: dict[Any, Any],
) -> Rows:
    payment = payments.get(_key(Payment, question.payment_id))
    is_of_payment = question.payment_id is not None
    key = payment.settlement_id if payment is not None else _key(Settlement, question.settlement_id)
    settlement: Any = None if is_of_payment and payment is None else settlements.get(key)
    return Rows(
        settlement=settlement,
        standing=settlement.standing_now(settlement.counted) if settlement is not None else None,
        payment=payment,
        person=people.get(_key(get_user_model(), question.user_id)),
    )


def _by_key(rows: QuerySet[Any], keys: Iterable[Any]) -> dict[Any, Any]:
    wanted = {_key(rows.model, key) for key in keys} - {None}
    return rows.in_bulk(list(wanted)) if wanted else {}


def _key(model: Any, key: Any) -> Any:
    """A primary key as the model has it; None for what is none."""
    try:
        return None if key is None else model._meta.pk.to_python(key)
    except (ValidationError, ValueError, TypeError):
        return None
