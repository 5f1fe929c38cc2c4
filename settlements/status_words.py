"""Statuses as they are written into rows: in English, whatever the language of the process."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from settlements.models import Payment, Settlement


def written_status(record: Settlement | Payment) -> str:
    """`partially paid`, for reasons that stay with a job."""
    return str(record.status).replace("_", " ")
