"""What operators decide about a settlement's jobs is kept with the settlement: job rows are pruned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobqueue.models import Job
from settlements.models import Cancellation, Settlement

REMINDERS = "reminders.send"
CHECKS = "settlement.payment_status_check"
REPLANNED = "re-planned"
"""How the reason begins where the plan itself cancelled a reminder."""
DELETED = "the settlement was deleted"


def remember_cancelled(sender: Any, jobs: Sequence[Job], reason: str, using: str, **_: Any) -> None:
    """Note which reminders and payment checks an operator cancelled, in the transaction that cancels them."""
    if reason.startswith(REPLANNED) or reason == DELETED:
        return
    decided = [job for job in jobs if job.processor in (REMINDERS, CHECKS) and job.unique_key]
    Cancellation.objects.using(using).bulk_create(
        [
            Cancellation(settlement_id=job.payload["settlement_id"], unique_key=job.unique_key)
            for job in decided
        ],
        ignore_conflicts=True,
    )


def cancelled_keys(settlement: Settlement, using: str) -> set[str]:
    """The unique keys of what an operator cancelled of this settlement's work."""
    rows = Cancellation.objects.using(using).filter(settlement_id=settlement.pk)
    return set(rows.values_list("unique_key", flat=True))
