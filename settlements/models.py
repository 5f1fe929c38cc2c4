"""Who owes whom how much until when, what was paid, and which letters went out."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.core.validators import MinValueValidator
from django.db import connections, models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django_fsm import FSMField, transition
from djmoney.models.fields import MoneyField
from djmoney.models.validators import MinMoneyValidator
from moneyed import Money

from jobqueue.models import AtomicSaveMixin, Job
from settlements.exceptions import CurrencyMismatch


class AnnouncedMixin(AtomicSaveMixin):
    """Remembers with the row what its jobs were told.

    `ANNOUNCED` names the fields and their markers. Rows changed without `save()` differ from their
    markers, and the reconciler finds them by that.
    """

    ANNOUNCED: ClassVar[dict[str, str]] = {}

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Save the row, its markers and its jobs in one transaction."""
        for marker in self.ANNOUNCED.values():
            getattr(self, marker)  # one that was deferred is loaded: Django leaves out what is not
        names = kwargs.get("update_fields")
        if names:
            markers = {marker for name, marker in self.ANNOUNCED.items() if name in names}
            kwargs["update_fields"] = {*names, "updated_at", *markers}
        super().save(*args, **kwargs)

    def mark_as_announced(self, stored: Mapping[str, Any] | None) -> None:
        """Mark what this save tells the jobs, `stored` being what the row holds; None if it is new.

        What the save leaves as it is keeps its marker: nobody may have been told of it yet.
        """
        for name, marker in self.ANNOUNCED.items():
            if stored is None or self._is_told(name, stored[name]):
                setattr(self, marker, self.__dict__[name])
            else:
                setattr(self, marker, stored[marker])

    def _is_told(self, name: str, stored: Any) -> bool:
        """Whether this save changes the field, so that the rules hear of it."""
        if name not in self.__dict__:
            return False
        field: Any = self._meta.get_field(name)
        value = self.__dict__[name]
        return hasattr(value, "resolve_expression") or bool(field.to_python(value) != stored)


class Settlement(AnnouncedMixin):
    """`payer` owes `payee` `amount` until `due_date`."""

    ANNOUNCED = {"status": "announced_status", "due_date": "announced_due_date"}

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        PARTIALLY_PAID = "partially_paid", _("partially paid")
        COMPLETED = "completed", _("completed")
        CANCELLED = "cancelled", _("cancelled")

    OPEN = (Status.PENDING, Status.PARTIALLY_PAID)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    description = models.CharField(_("description"), max_length=200, default="", blank=True)
    payer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="settlements_to_pay", verbose_name=_("payer")
    )
    payee = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="settlements_to_receive",
        verbose_name=_("payee"),
    )
    amount = MoneyField(
        _("amount"),
        max_digits=14,
        decimal_places=2,
        validators=[MinMoneyValidator(Decimal("0.01"))],
    )
    due_date = models.DateTimeField(_("due date"))
    status = FSMField(_("status"), choices=Status.choices, default=Status.PENDING, db_index=True)
    reminders_paused = models.BooleanField(
        _("reminders paused"), default=False, help_text=_("No reminder goes out while this is set.")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    announced_status = models.CharField(max_length=20, default="", blank=True, editable=False)
    announced_due_date = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("settlement")
        verbose_name_plural = _("settlements")
        indexes = [
            models.Index(fields=["due_date"], name="settlement_due_date"),
            # What the reconciler looks for every half minute: hardly ever a row.
            models.Index(
                fields=["id"],
                condition=~models.Q(announced_status=models.F("status")),
                name="settlement_unannounced_status",
            ),
            models.Index(
                fields=["id"],
                condition=models.Q(announced_due_date__isnull=True)
                | ~models.Q(announced_due_date=models.F("due_date")),
                name="settlement_unannounced_due",
            ),
        ]

    def __str__(self) -> str:
        return self.description or f"settlement {self.pk}"

    @property
    def is_open(self) -> bool:
        """Whether money is still owed."""
        return self.status in self.OPEN

    def paid(self) -> Money:
        """The sum of the completed payments; CurrencyMismatch if one is in another currency."""
        total = Money(0, self.amount.currency)
        completed = self.payments.filter(status=Payment.Status.COMPLETED).order_by()
        for pk, amount, currency in completed.values_list("pk", "amount", "amount_currency"):
            if currency != str(total.currency):
                raise CurrencyMismatch(
                    f"payment {pk} is in {currency}, but settlement {self.pk} "
                    f"is in {total.currency}; payments must be in the currency of their settlement"
                )
            total += Money(amount, currency)
        return total

    def has_refunds(self) -> bool:
        """Whether money of this settlement went back."""
        return self.payments.filter(status=Payment.Status.REFUNDED).exists()

    def status_by_payments(self) -> str:
        """The status that the completed payments call for; CurrencyMismatch as `paid` raises it."""
        paid = self.paid()
        if paid >= self.amount:
            return self.Status.COMPLETED
        return self.Status.PARTIALLY_PAID if paid.amount > 0 else self.Status.PENDING

    @transition(field=status, source=[Status.PENDING, Status.PARTIALLY_PAID], target=Status.COMPLETED)
    def complete(self) -> None:
        """Mark as fully paid. Save afterwards."""

    @transition(field=status, source=[Status.PENDING, Status.COMPLETED], target=Status.PARTIALLY_PAID)
    def mark_partially_paid(self) -> None:
        """Mark as paid in part. Save afterwards."""

    @transition(field=status, source=[Status.PENDING, Status.PARTIALLY_PAID], target=Status.CANCELLED)
    def cancel(self) -> None:
        """Call the debt off. Save afterwards."""

    @transition(
        field=status,
        source=[Status.COMPLETED, Status.CANCELLED, Status.PARTIALLY_PAID],
        target=Status.PENDING,
    )
    def reopen(self) -> None:
        """Owe the money again. Save afterwards."""


class Payment(AnnouncedMixin):
    """One transfer of money towards a settlement."""

    ANNOUNCED = {"status": "announced_status"}

    class Status(models.TextChoices):
        PENDING = "pending", _("pending")
        PROCESSING = "processing", _("processing")
        COMPLETED = "completed", _("completed")
        FAILED = "failed", _("failed")
        REFUNDED = "refunded", _("refunded")

    UNSETTLED = (Status.PENDING, Status.PROCESSING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="payments", verbose_name=_("settlement")
    )
    amount = MoneyField(
        _("amount"), max_digits=14, decimal_places=2, validators=[MinMoneyValidator(Decimal("0.01"))]
    )
    status = FSMField(_("status"), choices=Status.choices, default=Status.PENDING, db_index=True)
    failure_reason = models.CharField(_("failure reason"), max_length=200, default="", blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    announced_status = models.CharField(max_length=20, default="", blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        indexes = [
            models.Index(
                fields=["id"],
                condition=~models.Q(announced_status=models.F("status")),
                name="payment_unannounced_status",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} ({self.get_status_display()})"


class ReminderType(models.TextChoices):
    """The stages of a reminder plan."""

    INITIAL = "initial", _("initial")
    FOLLOW_UP = "follow_up", _("follow-up")
    FINAL = "final", _("final")
    OVERDUE = "overdue", _("overdue")


class ReminderDelivery(models.Model):
    """Proof that one reminder went out; the unique rows make it at most one of each."""

    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="reminder_deliveries", verbose_name=_("settlement")
    )
    reminder_type = models.CharField(_("type"), max_length=20, choices=ReminderType.choices)
    step = models.PositiveIntegerField(_("step"), default=0, validators=[MinValueValidator(0)])
    due_date = models.DateTimeField(_("due date"))
    recipient = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name=_("recipient")
    )
    email_job = models.ForeignKey(
        Job, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name=_("e-mail job")
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("reminder delivery")
        verbose_name_plural = _("reminder deliveries")
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "reminder_type", "step", "due_date"], name="settlements_reminder_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.get_reminder_type_display()} {self.step}"


class EmailDeliveryManager(models.Manager["EmailDelivery"]):
    """The first step of nearly every e-mail, in one statement."""

    def begin(self, job: Job, **facts: str) -> EmailDelivery | None:
        """Write the row of a job that has none, with the right to send its e-mail.

        None if there is a row, if the job has a newer attempt, or if the database has no such statement.
        """
        connection = connections[self.db]
        if connection.vendor not in ("postgresql", "sqlite"):
            return None
        with connection.cursor() as cursor:
            cursor.execute(
                f"""
                INSERT INTO settlements_emaildelivery
                    (job_id, status, tries, error, created_at, {", ".join(facts)})
                SELECT %s, 'sending', 1, '', CURRENT_TIMESTAMP, {", ".join(["%s"] * len(facts))}
                WHERE EXISTS (SELECT 1 FROM jobqueue_job WHERE id = %s AND attempt = %s)
                ON CONFLICT DO NOTHING
                RETURNING id
                """,  # noqa: S608 - only names of columns
                [job.pk, *facts.values(), job.pk, job.attempt],
            )
            row = cursor.fetchone()
        return row and self.model(pk=row[0], job=job, status=EmailDelivery.Status.SENDING, tries=1, **facts)


class EmailDelivery(models.Model):
    """One e-mail: written `sending` before it is sent and `sent` after."""

    class Status(models.TextChoices):
        SENDING = "sending", _("sending")
        SENT = "sent", _("sent")
        FAILED = "failed", _("failed")

    id = models.BigAutoField(primary_key=True)
    job = models.OneToOneField(
        Job, models.SET_NULL, null=True, blank=True, related_name="email_delivery", verbose_name=_("job")
    )
    message_id = models.CharField(_("Message-ID"), max_length=250, unique=True)
    recipient = models.EmailField(_("recipient"))
    template_type = models.CharField(_("template"), max_length=50)
    subject = models.CharField(_("subject"), max_length=250, default="", blank=True)
    about = models.CharField(_("about"), max_length=200, default="", blank=True, db_index=True)
    status = models.CharField(_("status"), max_length=10, choices=Status.choices, default=Status.SENDING)
    tries = models.PositiveIntegerField(_("tries"), default=1)
    error = models.TextField(_("error"), default="", blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = EmailDeliveryManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("e-mail delivery")
        verbose_name_plural = _("e-mail deliveries")

    def __str__(self) -> str:
        return f"{self.template_type} ({self.get_status_display()})"
