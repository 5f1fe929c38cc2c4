"""Addresses that nothing is sent to any more."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Self

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.models import WrittenManager


class BarredAddressQuerySet(models.QuerySet["BarredAddress"]):
    """Addresses, all of them in small letters."""

    def barred(self) -> Self:
        """Those that nothing is sent to: nobody has cleared them."""
        return self.filter(cleared_at__isnull=True)

    def among(self, *addresses: str) -> Self:
        """Those of these addresses, however they are written."""
        return self.filter(address__in={address.lower() for address in addresses if address})


_PAUSED_BY: Final = "paused by "
LONGEST_DETAIL: Final = 500


def pause_detail(who: str, why: str) -> str:
    """What the row of a pause says: "paused by pia: on holiday"."""
    return f"{_PAUSED_BY}{who}: {why}"


def longest_why(who: str) -> int:
    """How long the reason of a pause may be that fits into its row behind who paused it."""
    return LONGEST_DETAIL - len(pause_detail(who, ""))


_ManagerOfAddresses = models.Manager.from_queryset(BarredAddressQuerySet)


class BarredAddressManager(WrittenManager["BarredAddress"], _ManagerOfAddresses["BarredAddress"]):
    """The addresses of one database."""


class BarredAddress(models.Model):
    """An address that a mail server refused for good, that bounced, or whose owner complained.

    Nothing is sent to it until an operator clears it. It is the address that is barred, not the person: who
    gets another address gets letters again.
    """

    class Cause(models.TextChoices):
        REFUSED = "refused", _("refused by the mail server")
        BOUNCED = "bounced", _("bounced")
        COMPLAINED = "complained", _("complained about")
        UNSUBSCRIBED = "unsubscribed", _("unsubscribed")

    PAUSED: ClassVar[str] = "paused"
    """The cause of an address to which an operator holds letters back; servers never give it."""

    _HARDNESS: ClassVar[dict[str, int]] = {PAUSED: 0, Cause.UNSUBSCRIBED: 2, Cause.COMPLAINED: 3}
    """What people say weighs more than what servers say (1), and that more than what operators say."""

    id = models.BigAutoField(primary_key=True)
    address = models.CharField(_("address"), max_length=254, unique=True, help_text=_("In small letters."))
    cause = models.CharField(_("cause"), max_length=15, choices=Cause.choices)
    detail = models.CharField(_("what was said"), max_length=LONGEST_DETAIL, default="", blank=True)
    barred_at = models.DateTimeField(_("barred"), default=timezone.now)
    cleared_at = models.DateTimeField(_("cleared"), null=True, blank=True)
    cleared_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("cleared by"),
    )
    clearing_reason = models.CharField(_("why it was cleared"), max_length=500, default="", blank=True)

    objects: ClassVar[BarredAddressManager] = BarredAddressManager()

    class Meta:
        ordering = ["-barred_at"]
        verbose_name = _("barred address")
        verbose_name_plural = _("barred addresses")
        permissions = [
            ("clear_barredaddress", _("Can clear barred addresses")),
            ("pause_barredaddress", _("Can pause letters to addresses")),
            ("resume_barredaddress", _("Can resume letters to addresses")),
        ]

    def __str__(self) -> str:
        if self.cause == self.PAUSED:
            return gettext("resumed") if self.cleared_at else gettext("paused")
        state = gettext("cleared") if self.cleared_at else gettext("barred")
        return f"{self.get_cause_display()} ({state})"

    @property
    def is_barred(self) -> bool:
        """Whether nothing is sent to it."""
        return self.cleared_at is None

    @property
    def is_paused(self) -> bool:
        """Whether an operator, and nobody else, holds letters to it back, or did."""
        return self.cause == self.PAUSED

    @property
    def paused_by(self) -> str:
        """Who paused it; empty of what was written before rows said so."""
        head, colon, _why = self.detail.partition(": ")
        is_said = self.is_paused and colon and head.startswith(_PAUSED_BY)
        return head.removeprefix(_PAUSED_BY) if is_said else ""

    @property
    def why(self) -> str:
        """What was said of it: the reason of a pause without who it was, else what a server answered."""
        return self.detail.partition(": ")[2] if self.paused_by else self.detail

    def yields_to(self, cause: str) -> bool:
        """Whether this cause weighs more than that of the row."""
        return self._HARDNESS.get(cause, 1) > self._HARDNESS.get(self.cause, 1)

    def clear(self, user: Any, reason: str) -> None:
        """Let e-mails go out to it again."""
        self.cleared_at, self.cleared_by, self.clearing_reason = timezone.now(), user, reason[:500]
        self.save(update_fields=["cleared_at", "cleared_by", "clearing_reason"])


class IsBarred(models.Func):
    """Whether nothing is sent to an address: a value in small letters, or a column of the outer query."""

    output_field = models.BooleanField()

    def as_sql(self, compiler: Any, connection: Any, *_: Any, **__: Any) -> tuple[str, Any]:
        """One look at an index."""
        [source] = self.get_source_expressions()
        text, values = compiler.compile(source)
        address = text if isinstance(source, models.Value) else f"LOWER({text})"
        table = connection.ops.quote_name(BarredAddress._meta.db_table)
        return (
            f"EXISTS (SELECT 1 FROM {table} barred"
            f" WHERE barred.address = {address} AND barred.cleared_at IS NULL)",
            list(values),
        )
