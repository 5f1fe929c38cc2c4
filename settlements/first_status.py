"""Which status a payment may have when somebody adds it: what its state machine leads to in one step.

A payment begins pending. Who adds one that is further on says with it that the step was taken: where that
step is a decision, it takes the permission of that decision. Processors and the gateway add none.
"""

from __future__ import annotations

from typing import Any, Final

from settlements.models import Payment

BEGINNING: Final = Payment.Status.PENDING.value
TAKES: Final = {
    Payment.Status.COMPLETED.value: "settlements.complete_payment",
    Payment.Status.FAILED.value: "settlements.fail_payment",
    Payment.Status.REFUNDED.value: "settlements.refund_payment",
}
"""The permission of the step that a status says was taken, where that step is a decision."""


def reachable() -> list[str]:
    """Pending, and what one step leads to from there, in the order of the statuses."""
    field: Any = Payment._meta.get_field("status")
    steps = field.get_all_transitions(Payment)
    targets = {str(getattr(step.target, "value", step.target)) for step in steps if step.source == BEGINNING}
    return [status for status in Payment.Status.values if status == BEGINNING or status in targets]


def allowed_for(user: Any) -> list[str]:
    """Those that this user may give to a new payment."""
    return [status for status in reachable() if status not in TAKES or user.has_perm(TAKES[status])]


def why_not(status: str, user: Any) -> str:
    """Why this user may not add a payment of that status, with what is allowed; empty if he may."""
    allowed = allowed_for(user)
    if status in allowed:
        return ""
    text = f"A new payment may be {_in_words(allowed)} here, not {status:.20}."
    needs = [f"{known.capitalize()} takes {TAKES[known]}." for known in reachable() if known not in allowed]
    return " ".join([text, *needs])


def _in_words(names: list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
