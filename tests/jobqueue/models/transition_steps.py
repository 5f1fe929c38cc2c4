"""Jobs as the diagram has them."""

from __future__ import annotations

from jobqueue.models import Job

State = Job.State


# The arrows of the diagram. Waiting jobs may also stay what they are.
ARROWS = {
    (State.WAITING, State.ACTIVE): {"claim"},
    (State.WAITING, State.CANCELLED): {"cancel"},
    (State.ACTIVE, State.WAITING): {"run_again", "hand_back", "hand_on"},
    (State.ACTIVE, State.COMPLETED): {"complete"},
    (State.ACTIVE, State.CANCELLED): {"end_stopped"},
    (State.ACTIVE, State.ACTIVE): {"ask_to_stop"},
    (State.ACTIVE, State.FAILED): {"fail", "set_aside"},
    (State.WAITING, State.FAILED): {"set_aside"},
    (State.FAILED, State.WAITING): {"retry"},
    (State.CANCELLED, State.WAITING): {"retry"},
    (State.WAITING, State.WAITING): {"run_now", "move", "reschedule", "mark_published", "mark_unpublished"},
}
