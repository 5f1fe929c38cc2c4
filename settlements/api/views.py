"""`/api/settlements/`, `/api/payments/` and `/api/emails/`."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django.contrib.admin.models import ADDITION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import OpenApiParameter, extend_schema_view
from moneyed import Money
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.request import Request
from rest_framework.response import Response

from jobqueue.api.access import OperatorViewSet
from jobqueue.api.bodies import read_body, read_query
from jobqueue.api.paging import LARGEST_ID, moment, page, read_cursor, whole_id
from jobqueue.api.problems import InvalidBody
from jobqueue.api.shapes import Moment, described, page_of
from jobqueue.masking import mask_address
from jobqueue.operating import shown_text
from settlements import first_status
from settlements.api.bodies import (
    EMAIL_STATES,
    PAYMENT_STATES,
    SETTLEMENT_STATES,
    EmailsQuery,
    NewPayment,
    PaymentsQuery,
    SettlementsQuery,
)
from settlements.api.once import HEADER, INVALID_KEY, KEY_REUSED, REPLAYED, once
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.models import EmailDelivery, Payment, Settlement
from settlements.money import places_of
from settlements.templatetags.settlement_format import money

_UUID = "[0-9a-fA-F-]{32,36}"


# What is shown -------------------------------------------------------------------------------------


class SettlementLine(serializers.Serializer[Any]):
    """Who owes whom how much until when."""

    id = serializers.UUIDField()
    description = serializers.CharField(allow_blank=True)
    payer = serializers.CharField(help_text="The user's name.")
    payee = serializers.CharField(help_text="The user's name.")
    amount = serializers.CharField()
    currency = serializers.CharField()
    status = serializers.ChoiceField(SETTLEMENT_STATES)
    due_date = Moment()
    reminders_paused = serializers.BooleanField()
    created_at = Moment()


class SettlementInFull(SettlementLine):
    """A settlement and how it stands."""

    paid = serializers.CharField()
    open_amount = serializers.CharField()


class PaymentLine(serializers.Serializer[Any]):
    """A transfer of money towards a settlement."""

    id = serializers.UUIDField()
    settlement = serializers.UUIDField()
    amount = serializers.CharField()
    currency = serializers.CharField()
    refunded_amount = serializers.CharField()
    status = serializers.ChoiceField(PAYMENT_STATES)
    failure_reason = serializers.CharField(allow_blank=True)
    created_at = Moment()


class EmailLine(serializers.Serializer[Any]):
    """An e-mail and what became of it; most of the address is hidden."""

    id = serializers.IntegerField()
    template = serializers.CharField()
    subject = serializers.CharField(allow_blank=True)
    recipient = serializers.CharField(allow_blank=True)
    about = serializers.CharField(allow_blank=True)
    job = serializers.IntegerField(allow_null=True)
    status = serializers.ChoiceField(EMAIL_STATES)
    tries = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)
    created_at = Moment()
    sent_at = Moment(allow_null=True)


# Views ---------------------------------------------------------------------------------------------


@extend_schema_view(
    list=described("Settlements, the newest first", page_of(SettlementLine), query=SettlementsQuery),
    retrieve=described("A settlement and how it stands", SettlementInFull),
)
class SettlementViewSet(OperatorViewSet):
    """Settlements."""

    lookup_value_regex = _UUID
    what = "settlement"
    needs = dict.fromkeys(("list", "retrieve"), ("settlements.view_settlement",))

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(SettlementsQuery, request)
        rows = Settlement.objects.select_related("payer", "payee")
        return _by_creation(request, asked, _narrowed(rows, asked, "status"), _settlement)

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        found: Settlement = _of(Settlement.objects.select_related("payer", "payee"), pk)
        standing = found.standing()
        return Response(
            {
                **_settlement(found, request),
                "paid": _digits(standing.paid, found.amount),
                "open_amount": _digits(standing.open_amount, found.amount),
            }
        )


@extend_schema_view(
    list=described("Payments, the newest first", page_of(PaymentLine), query=PaymentsQuery),
    retrieve=described("A payment", PaymentLine),
    create=described(
        "Add a payment, once for each key",
        PaymentLine,
        status=201,
        body=NewPayment,
        codes={
            400: (INVALID_KEY, "malformed"),
            422: ("invalid_amount", "no_settlement", "other_currency", "status_not_allowed", KEY_REUSED),
        },
        parameters=[
            OpenApiParameter(
                HEADER,
                {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
                OpenApiParameter.HEADER,
                required=True,
                description=(
                    "New for each payment. The same key and body are answered as before for 30 days."
                ),
            ),
            OpenApiParameter(
                REPLAYED,
                {"type": "string", "enum": ["true"]},
                OpenApiParameter.HEADER,
                response=[201],
                description="The payment was added before; this is the answer that was given then.",
            ),
        ],
    ),
)
class PaymentViewSet(OperatorViewSet):
    """Payments."""

    lookup_value_regex = _UUID
    what = "payment"
    needs = {
        **dict.fromkeys(("list", "retrieve"), ("settlements.view_payment",)),
        "create": ("settlements.view_payment", "settlements.add_payment"),
    }

    def list(self, request: Request) -> Response:
        """A page of them."""
        asked = read_query(PaymentsQuery, request)
        return _by_creation(
            request, asked, _narrowed(Payment.objects, asked, "status", "settlement"), _payment
        )

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        return Response(_payment(_of(Payment.objects, pk), request))

    def create(self, request: Request) -> Response:
        """Add one."""
        asked = read_body(NewPayment, request)
        return once(request, lambda: _payment(_add(asked, request), request))


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
        rows = _narrowed(EmailDelivery.objects, asked, "status", "about", template_type="template")
        if "cursor" in asked:
            rows = rows.filter(pk__lt=read_cursor(asked["cursor"], whole_id)[0])
        found = list(rows.order_by("-pk")[: asked["limit"] + 1])
        return Response(page(request, found, asked["limit"], lambda one: [one.pk], _each(_email, request)))

    def retrieve(self, request: Request, pk: str = "") -> Response:
        """One of them."""
        found = EmailDelivery.objects.filter(pk=pk).first() if int(pk) <= LARGEST_ID else None
        if found is None:
            raise Http404
        return Response(_email(found, request))


# Rows ----------------------------------------------------------------------------------------------


def _narrowed(rows: Any, asked: dict[str, Any], *names: str, **columns: str) -> QuerySet[Any]:
    by_column = {name: name for name in names} | columns
    chosen = {column: asked[name] for column, name in by_column.items() if name in asked}
    found: QuerySet[Any] = rows.filter(**chosen)
    return found


def _by_creation(
    request: Request, asked: dict[str, Any], rows: QuerySet[Any], shown: Callable[[Any, Request], Any]
) -> Response:
    if "cursor" in asked:
        created_at, pk = read_cursor(asked["cursor"], moment, uuid.UUID)
        rows = rows.filter(created_at__lte=created_at).exclude(created_at=created_at, pk__gte=pk)
    found = list(rows.order_by("-created_at", "-pk")[: asked["limit"] + 1])
    return Response(
        page(
            request,
            found,
            asked["limit"],
            lambda one: [one.created_at.isoformat(), str(one.pk)],
            _each(shown, request),
        )
    )


def _each(shown: Callable[[Any, Request], Any], request: Request) -> Callable[[Sequence[Any]], list[Any]]:
    return lambda rows: [shown(row, request) for row in rows]


def _of(rows: Any, pk: str) -> Any:
    try:
        found = rows.filter(pk=uuid.UUID(pk)).first()
    except ValueError:
        found = None
    if found is None:
        raise Http404
    return found


def _settlement(one: Settlement, request: Request) -> dict[str, Any]:
    return {
        "id": str(one.pk),
        "description": shown_text(one.description, request),
        "payer": shown_text(one.payer.get_username(), request),
        "payee": shown_text(one.payee.get_username(), request),
        "amount": _digits(one.amount.amount, one.amount),
        "currency": str(one.amount.currency),
        "status": one.status,
        "due_date": Moment().to_representation(one.due_date),
        "reminders_paused": one.reminders_paused,
        "created_at": Moment().to_representation(one.created_at),
    }


def _payment(one: Payment, request: Request) -> dict[str, Any]:
    return {
        "id": str(one.pk),
        "settlement": str(one.settlement_id),
        "amount": _digits(one.amount.amount, one.amount),
        "currency": str(one.amount.currency),
        "refunded_amount": _digits(one.refunded_amount, one.amount),
        "status": one.status,
        "failure_reason": shown_text(one.failure_reason, request),
        "created_at": Moment().to_representation(one.created_at),
    }


def _digits(number: Decimal, like: Money) -> str:
    """With as many digits as the currency has; with those of the row where there are more."""
    places = places_of(str(like.currency))
    rounded = round(number, places)
    return f"{rounded if rounded == number else number:f}"


def _email(one: EmailDelivery, request: Request) -> dict[str, Any]:
    return {
        "id": one.pk,
        "template": shown_text(one.template_type, request),
        "subject": shown_text(one.subject, request),
        "recipient": mask_address(one.recipient),
        "about": shown_text(one.about, request),
        "job": one.job_id,
        "status": one.status,
        "tries": one.tries,
        "error": shown_text(one.error, request),
        "created_at": Moment().to_representation(one.created_at),
        "sent_at": Moment().to_representation(one.sent_at),
    }


def _add(asked: dict[str, Any], request: Request) -> Payment:
    """Save the payment, with its jobs, and write down who added it; InvalidBody names what is wrong."""
    if refusal := first_status.why_not(asked["status"], request.user):
        raise InvalidBody({"status": [ErrorDetail(refusal, code="status_not_allowed")]})
    settlement = Settlement.objects.filter(pk=asked["settlement"]).first()
    if settlement is None:
        text = f"There is no settlement {asked['settlement']}."
        raise InvalidBody({"settlement": [ErrorDetail(text, code="no_settlement")]})
    owed_in = str(settlement.amount.currency)
    if asked.get("currency", owed_in) != owed_in:
        text = f"The settlement is in {owed_in}: a payment in another currency would count nothing."
        raise InvalidBody({"currency": [ErrorDetail(text, code="other_currency")]})
    payment = Payment(settlement=settlement, amount=Money(asked["amount"], owed_in), status=asked["status"])
    try:
        payment.save()
    except (InvalidAmount, InvalidRefund) as error:
        text = f"{str(error)[:1].upper()}{str(error)[1:]}."
        raise InvalidBody({"amount": [ErrorDetail(text, code="invalid_amount")]}) from None
    LogEntry.objects.create(
        user_id=request.user.pk,
        content_type=ContentType.objects.get_for_model(Payment),
        object_id=str(payment.pk),
        object_repr=str(payment)[:200],
        action_flag=ADDITION,
        change_message=f"Added over HTTP: {money(payment.amount)}, {payment.get_status_display()}.",
    )
    return payment
