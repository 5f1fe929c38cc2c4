"""The workload as a Django app."""

import os

from django.apps import AppConfig

from tests.workload import conditions


class WorkloadConfig(AppConfig):
    """Its processors are found like those of any app."""

    name = "tests.workload"

    def ready(self) -> None:
        """Where a test asks for it, every forked process dies at once, or conditions are bad."""
        if os.environ.get("WORKLOAD_FORKS_DIE") == "1":
            os.register_at_fork(after_in_child=lambda: os._exit(3))
        conditions.apply()
