"""What happened and fits nowhere: for an operator to look at."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from jobqueue.models import WrittenManager
from settlements.exceptions import DiscrepancyClosed
from settlements.models.payment import Payment
from settlements.models.settlement import Settlement
from settlements.money import MAX_DIGITS, STORED_PLACES, AmountField


class DiscrepancyQuerySet(models.QuerySet["Discrepancy"]):
    """What happened and fits nowhere."""

    def open(self) -> Self:
        """Those that nobody has closed yet."""
        return self.filter(closed_at__isnull=True)


_ManagerOfDiscrepancies = models.Manager.from_queryset(DiscrepancyQuerySet)


class DiscrepancyManager(WrittenManager["Discrepancy"], _ManagerOfDiscrepancies["Discrepancy"]):
    """The discrepancies of one database."""


class Discrepancy(models.Model):
    """Money that is too much, or that books and provider disagree on; open until somebody closes it."""

    class Kind(models.TextChoices):
        OVERPAID = "overpaid", _("paid too much")
        CANCELLED = "cancelled", _("paid for a cancelled settlement")
        CURRENCY = "currency", _("paid in another currency")
        CONTRADICTION = "contradiction", _("the provider's answer contradicts the payment")

    GONE: ClassVar[str] = gettext_noop(
        "it is not so any more: the money went back, or something else changed"
    )
    """What was seen last of one that is over."""

    id = models.BigAutoField(primary_key=True)
    kind = models.CharField(_("kind"), max_length=15, choices=Kind.choices)
    settlement = models.ForeignKey(
        Settlement, models.CASCADE, related_name="discrepancies", verbose_name=_("settlement")
    )
    payment = models.ForeignKey(
        Payment,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="discrepancies",
        verbose_name=_("payment"),
    )
    amount = AmountField(
        _("amount"), max_digits=MAX_DIGITS + 3, decimal_places=STORED_PLACES, default=Decimal(0)
    )
    currency = models.CharField(_("currency"), max_length=3, default="", blank=True)
    detail = models.CharField(_("what was seen"), max_length=500, default="", blank=True)
    opened_at = models.DateTimeField(_("seen"), default=timezone.now)
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("closed by"),
    )
    closing_reason = models.CharField(_("why it was closed"), max_length=500, default="", blank=True)

    objects: ClassVar[DiscrepancyManager] = DiscrepancyManager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("discrepancy")
        verbose_name_plural = _("discrepancies")
        permissions = [("close_discrepancy", _("Can close discrepancies"))]
        constraints = [
            models.UniqueConstraint(
                fields=["settlement", "kind"],
                condition=models.Q(closed_at__isnull=True, kind__in=["overpaid", "cancelled"]),
                name="discrepancy_once_a_settlement",
            ),
            models.UniqueConstraint(
                fields=["payment", "kind"],
                condition=models.Q(closed_at__isnull=True, kind__in=["currency", "contradiction"]),
                name="discrepancy_once_a_payment",
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed it yet."""
        return self.closed_at is None

    @property
    def is_over(self) -> bool:
        """Whether it is not so any more, closed or not."""
        return self.detail == self.GONE

    def close(self, user: Any, reason: str) -> None:
        """Note that this was looked after, by whom and how. DiscrepancyClosed if it was already."""
        closed = Discrepancy.objects.db_manager(hints={"instance": self}).open().filter(pk=self.pk)
        if not closed.update(closed_at=timezone.now(), closed_by=user, closing_reason=reason[:500]):
            raise DiscrepancyClosed(f"discrepancy {self.pk} was closed already")
        self.refresh_from_db()
