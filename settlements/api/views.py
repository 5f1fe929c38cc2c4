"""`/api/settlements/`, `/api/payments/` and `/api/emails/`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema_view
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet, django_request
from jobqueue.api.bodies import read_body, read_query
from jobqueue.api.once import once, once_for_a_key
from jobqueue.api.paging import LARGEST_ID, page, page_by_moment, read_cursor, whole_id
from jobqueue.api.problems import INVALID_KEY, KEY_REUSED, InvalidBody
from jobqueue.api.shapes import described, page_of
from settlements.api.bodies import (
    EmailsQuery,
    NewPayment,
    PaymentsQuery,
    SettlementsQuery,
    key_of,
)
from settlements.api.changes import move_at, needs_of
from settlements.api.shapes import (
    EmailLine,
    PaymentLine,
    SettlementInFull,
    SettlementLine,
    email_line,
    payment_line,
    settlement_in_full,
    settlement_line,
)
from settlements.models import EmailDelivery, KeptAnswer, Payment, Settlement
from settlements.operating.asking_moves import ASKING_MOVES
from settlements.operating.payment_moves import MOVES as PAYMENT_MOVES
from settlements.operating.payments import NotAdded, add_payment
from settlements.operating.settlement_moves import MOVES as SETTLEMENT_MOVES
from settlements.rows import letters_to

_UUID = "[0-9a-fA-F-]{32,36}"


# Moves ---------------------------------------------------------------------------------------------

_OF_SETTLEMENTS = {move.name: move for move in (*SETTLEMENT_MOVES, *ASKING_MOVES)}
_OF_PAYMENTS = {move.name: move for move in PAYMENT_MOVES}


def _settlement_move(name: str, summary: str, **more: str) -> Any:
    return move_at(_OF_SETTLEMENTS[name], Settlement, settlement_in_full, SettlementInFull, summary, **more)


def _payment_move(name: str, summary: str, **more: str) -> Any:
    return move_at(_OF_PAYMENTS[name], Payment, payment_line, PaymentLine, summary, **more)


# Views ---------------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("Settlements, the newest first", page_of(SettlementLine), query=SettlementsQuery),
    retrieve=described("A settlement and how it stands", SettlementInFull),
)
class SettlementViewSet(OperatorViewSet):
    """Settlements."""

    lookup_value_regex = _UUID
    what = "settlement"
    needs = {
        **dict.fromkeys(("list", "retrieve"), ("settlements.view_settlement",)),
        **needs_of(Settlement, _OF_SETTLEMENTS),
    }

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(SettlementsQuery, request)
        rows = Settlement.objects.select_related("payer", "payee")
        return _by_creation(request, asked, _narrowed(rows, asked, "status"), settlement_line)

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        found: Settlement = _of(Settlement.objects.select_related("payer", "payee"), pk)
        return Response(settlement_in_full(found, request))

    complete = _settlement_move("complete", "Decide that nothing is owed any more")
    cancel = _settlement_move("cancel", "Call the debt off")
    reopen = _settlement_move("reopen", "Take that decision back: what payments do not cover is owed again")
    send_reminder = _settlement_move(
        "send_reminder", "Send one reminder to the payer now, at any hour", once_for="reminder"
    )
    pause_reminders = _settlement_move("pause_reminders", "Let no reminder go out until they are resumed")
    resume_reminders = _settlement_move("resume_reminders", "Let reminders go out again")
    check_payments = _settlement_move("check_payments", "Ask the provider about each unsettled payment now")


@extend_schema_view(
    list=described("Payments, the newest first", page_of(PaymentLine), query=PaymentsQuery),
    retrieve=described("A payment", PaymentLine),
    create=described(
        "Add a payment, once for each key",
        PaymentLine,
        status=201,
        body=NewPayment,
        codes={
            400: (INVALID_KEY,),
            422: ("invalid_amount", "no_settlement", "other_currency", "status_not_allowed", KEY_REUSED),
        },
        parameters=once_for_a_key("payment", 201),
    ),
)
class PaymentViewSet(OperatorViewSet):
    """Payments."""

    lookup_value_regex = _UUID
    what = "payment"
    needs = {
        **dict.fromkeys(("list", "retrieve"), ("settlements.view_payment",)),
        "create": ("settlements.view_payment", "settlements.add_payment"),
        **needs_of(Payment, _OF_PAYMENTS),
    }

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(PaymentsQuery, request)
        return _by_creation(
            request, asked, _narrowed(Payment.objects, asked, "status", "settlement"), payment_line
        )

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        return Response(payment_line(_of(Payment.objects, pk), request))

    def create(self, request: Request) -> Response:
        """Add one."""
        asked = read_body(NewPayment, request)
        return once(request, KeptAnswer, lambda: payment_line(_add(asked, request), request))

    start = _payment_move("start", "Note that the provider works on it")
    complete = _payment_move("complete", "Note that the money arrived")
    fail = _payment_move("fail", "Note that the money did not arrive, and what the payer reads of it")
    refund = _payment_move("refund", "Note that money went back", once_for="refund")
    take_refund_back = _payment_move("take_refund_back", "Note that nothing of it went back after all")


@extend_schema_view(
    list=described("E-mails, the newest first", page_of(EmailLine), query=EmailsQuery),
    retrieve=described("An e-mail and what became of it", EmailLine),
)
class EmailViewSet(OperatorViewSet):
    """E-mails."""

    lookup_value_regex = "[0-9]{1,19}"
    what = "e-mail"
    needs = dict.fromkeys(("list", "retrieve"), ("settlements.view_emaildelivery",))

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(EmailsQuery, request)
        rows = _narrowed(
            EmailDelivery.objects.with_job_states(), asked, "status", "about", template_type="template"
        )
        if "user" in asked:
            rows = rows.filter(_to(asked["user"]))
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_cursor(asked["cursor"], whole_id)[0])
        found = list(rows.order_by("-pk")[: asked["limit"] + 1])
        return Response(
            page(request, found, asked["limit"], lambda one: [one.pk], _each(email_line, request))
        )

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        found = (
            EmailDelivery.objects.with_job_states().filter(pk=pk).first() if int(pk) <= LARGEST_ID else None
        )
        if found is None:
            raise Http404
        return Response(email_line(found, request))


# Rows ----------------------------------------------------------------------------------------------


def _narrowed(rows: Any, asked: dict[str, Any], *names: str, **columns: str) -> QuerySet[Any]:
    by_column = {name: name for name in names} | columns
    chosen = {column: asked[name] for column, name in by_column.items() if name in asked}
    found: QuerySet[Any] = rows.filter(**chosen)
    return found


def _to(key: Any) -> Q:
    """The e-mails to the user with this key, as the page of the person shows them."""
    person = get_user_model()._default_manager.filter(pk=key).first()
    return letters_to(person) if person is not None else Q(user=key)


def _by_creation(
    request: Request, asked: dict[str, Any], rows: QuerySet[Any], shown: Callable[[Any, Request], Any]
) -> Response:
    order = ("-created_at", uuid.UUID)
    return Response(page_by_moment(request, rows, asked, order, _each(shown, request)))


def _each(shown: Callable[[Any, Request], Any], request: Request) -> Callable[[Sequence[Any]], list[Any]]:
    return lambda rows: [shown(row, request) for row in rows]


def _of(rows: Any, pk: str) -> Any:
    found = rows.filter(pk=key_of(pk)).first()
    if found is None:
        raise Http404
    return found


def _add(asked: dict[str, Any], request: Request) -> Payment:
    """Add the payment; InvalidBody names what is wrong."""
    try:
        return add_payment(django_request(request), **asked)
    except NotAdded as refused:
        raise InvalidBody({refused.field: [ErrorDetail(str(refused), code=refused.code)]}) from None
