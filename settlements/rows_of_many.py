"""What `settlements.rows` reads of one letter, of many at once, by a few questions for all of them.

Which later reminders went out, and which letters before, is not looked at: that takes a question for each.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db.models import QuerySet

from settlements.models import BarredAddress, PaidByPayments, Payment, Settlement
from settlements.rows import Question, Rows, email_of

_NOTHING: Final[Mapping[Any, Any]] = {}


def read_many(
    questions: Sequence[Question],
    using: str,
    settlements: Iterable[Settlement] = (),
    people: Iterable[Any] = (),
) -> list[Rows]:
    """The rows of each of these letters, by at most four statements; `is_barred` is left out.

    Nobody asks again for settlements that were read with what is `counted`, nor for the people.
    """
    known, users = {one.pk: one for one in settlements}, {one.pk: one for one in people}
    payments = _by_key(Payment.objects.using(using), (one.payment_id for one in questions))
    named = [one.settlement_id for one in questions]
    about = [payment.settlement_id for payment in payments.values()]
    rows = Settlement.objects.using(using).select_related("payer", "payee")
    read = _by_key(rows.annotate(counted=PaidByPayments()), [*named, *about], known)
    users |= {person.pk: person for one in read.values() for person in (one.payer, one.payee)}
    all_users = get_user_model()._default_manager.using(using)
    users |= _by_key(all_users, (one.user_id for one in questions), users)
    return [_rows(one, payments, known | read, users) for one in questions]


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


def _by_key(rows: QuerySet[Any], keys: Iterable[Any], known: Mapping[Any, Any] = _NOTHING) -> dict[Any, Any]:
    wanted = {_key(rows.model, key) for key in keys} - {None} - known.keys()
    return rows.in_bulk(list(wanted)) if wanted else {}


def _key(model: Any, key: Any) -> Any:
    """A primary key as the model has it; None for what is none."""
    try:
        return None if key is None else model._meta.pk.to_python(key)
    except (ValidationError, ValueError, TypeError):
        return None
