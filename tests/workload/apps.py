"""The workload as a Django app."""

import os

from django.apps import AppConfig

from tests.workload import conditions, evidence
from tests.workload.fail_points import FailPoint


class WorkloadConfig(AppConfig):
    """Its processors are found like those of any app."""

    name = "tests.workload"

    def ready(self) -> None:
        """What a test asks for: forked processes die, one dies or hangs at a step, clocks are wrong."""
        from tests.workload import children, guarded, state, stoppable, talkative, unruly

        evidence.answer_with_stacks()
        assert children and guarded and state and stoppable and talkative and unruly  # importing registers
        if os.environ.get("WORKLOAD_FORKS_DIE") == "1":
            os.register_at_fork(after_in_child=lambda: os._exit(3))
        if step := os.environ.get("WORKLOAD_HANG_AT"):
            from tests.workload import hang_points

            hang_points.install(step)
        if point := os.environ.get("WORKLOAD_FAIL_POINT"):
            FailPoint.parse(point).arm()
        conditions.apply()
        unruly.connect()
