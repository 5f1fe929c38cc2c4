"""Which addresses nothing is sent to: barred by refusals, bounces and complaints, cleared by operators."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from anymail.signals import AnymailTrackingEvent, tracking
from django.db import models, transaction
from django.db.models.functions import Now
from django.utils import timezone

from jobqueue.jobs import databases
from settlements.mail_events import EventKind, MailEvent, mail_event_of
from settlements.models import LONGEST_DETAIL, BarredAddress, EmailDelivery

_CAUSES: Final = {
    EventKind.BOUNCED: BarredAddress.Cause.BOUNCED,
    EventKind.COMPLAINED: BarredAddress.Cause.COMPLAINED,
    EventKind.REFUSED: BarredAddress.Cause.REFUSED,
    EventKind.UNSUBSCRIBED: BarredAddress.Cause.UNSUBSCRIBED,
}
_STATUSES: Final = {
    EventKind.BOUNCED: EmailDelivery.Status.BOUNCED,
    EventKind.REFUSED: EmailDelivery.Status.BOUNCED,
    EventKind.UNDELIVERED: EmailDelivery.Status.BOUNCED,
    EventKind.COMPLAINED: EmailDelivery.Status.COMPLAINED,
}


def bar(address: str, cause: str, detail: str, *, using: str, at: datetime | None = None) -> BarredAddress:
    """Send nothing to this address any more; the row that says so, perhaps from before it was written.

    Of two causes the harder one is kept: a complaint says more than a bounce, and either more than a pause.
    What happened before an operator cleared it changes nothing, nor does what was known when it was cleared;
    but who ends a pause clears nothing of what a server or its reader said, whenever it happened.
    """
    moment = at or timezone.now()
    values = {"cause": cause, "detail": detail[:LONGEST_DETAIL], "barred_at": moment}
    rows = BarredAddress.objects.using(using)
    with transaction.atomic(using=using):
        barred, is_new = rows.select_for_update().get_or_create(address=address.lower(), defaults=values)
        if not is_new and _is_news(barred, cause, moment):
            rows.filter(pk=barred.pk).update(**values, cleared_at=None, cleared_by=None, clearing_reason="")
        return barred


def _is_news(barred: BarredAddress, cause: str, moment: datetime) -> bool:
    """Whether the row does not say it yet, and nobody has cleared it."""
    if barred.cleared_at is None or barred.is_paused and barred.yields_to(cause):
        return barred.yields_to(cause)
    return max(barred.cleared_at, barred.barred_at) < moment


def connect() -> None:
    """Listen to anymail's tracking events."""
    tracking.connect(note_event, dispatch_uid="settlements.mail_events")


def note_event(sender: object, event: AnymailTrackingEvent, esp_name: str, **kwargs: Any) -> None:
    """Note the event if it says something about an address. Errors pass: the provider then sends again."""
    if (mail_event := mail_event_of(event, esp_name)) is not None:
        note_mail_event(mail_event)


def note_mail_event(event: MailEvent) -> None:
    """Note what a provider reports about an e-mail that it took. Saying it again, or late, changes nothing.

    It does not say which database the e-mail's row is in, and what bars an address bars it in all of them.
    """
    for using in databases():
        with transaction.atomic(using=using):
            if event.kind in _STATUSES:
                _note_on_delivery(event, using)
            if event.bars:
                bar(event.address, _CAUSES[event.kind], event.text, using=using, at=event.occurred_at)


def _note_on_delivery(event: MailEvent, using: str) -> None:
    """Show it on the e-mail. A complaint says more than a bounce, and neither makes it go out again."""
    named = models.Q()
    if event.provider_message_id:
        named |= models.Q(provider_id=event.provider_message_id)
    if event.message_id:
        named |= models.Q(message_id=event.message_id)
    if not named:
        return
    status = _STATUSES[event.kind]
    rows = EmailDelivery.objects.using(using).filter(named, recipient__iexact=event.address)
    rows.exclude(status__in=[status, EmailDelivery.Status.COMPLAINED]).update(
        status=status, error=event.text, sent_at=models.functions.Coalesce("sent_at", Now())
    )
