"""Which jobs a bulk action means where no selection says it: what a list showed, kept by their ids."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _

from jobqueue.models.bulk import BulkAction
from jobqueue.models.written import TolerantManager

IDS_OF_A_ROW = 10_000


class BulkChoice(models.Model):
    """Some of the ids that an action means, in their order: more than the row before it has, up to `last`.

    A search asks other questions an hour later, of other rows; what an operator saw the number of stays.
    """

    id = models.BigAutoField(primary_key=True)
    action = models.ForeignKey(BulkAction, models.CASCADE, related_name="choices")
    last = models.BigIntegerField(_("last id"))
    ids = models.JSONField(_("ids"), default=list)

    objects = TolerantManager()

    class Meta:
        ordering = ["last"]
        default_permissions = ()
        verbose_name = _("choice of a bulk action")
        verbose_name_plural = _("choices of bulk actions")
        constraints = [
            models.UniqueConstraint(fields=["action", "last"], name="jobqueue_bulkchoice_once"),
        ]

    def __str__(self) -> str:
        return f"up to {self.last}"


def keep_choice(action: BulkAction, ids: Sequence[int], using: str) -> None:
    """Keep these ids, which are in their order, as what the action means."""
    shares = (ids[start : start + IDS_OF_A_ROW] for start in range(0, len(ids), IDS_OF_A_ROW))
    rows = [BulkChoice(action_id=action.pk, last=share[-1], ids=list(share)) for share in shares]
    BulkChoice.objects.using(using).bulk_create(rows, batch_size=10)
