"""Enqueues guarded jobs in one transaction: a process that a fail point can end on its way."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from jobqueue.jobs import enqueue, enqueue_many
from tests.workload.guarded import GUARDED, requests


class Command(BaseCommand):
    """`manage.py workload_enqueue name …`: one job each; those called "delayed…" come later."""

    help = "Enqueue one guarded job for each name."

    def add_arguments(self, parser: CommandParser) -> None:
        """The names."""
        parser.add_argument("names", nargs="+")

    def handle(self, *args: Any, names: list[str], **options: Any) -> None:
        """Some jobs in bulk, some one by one."""
        delayed = [name for name in names if name.startswith("delayed")]
        due = [name for name in names if name not in delayed]
        with transaction.atomic():
            enqueue_many(list(requests(due[1:])))
            enqueue(GUARDED["email"].name, name=due[0], unique_key=due[0])
            for name in delayed:
                enqueue(GUARDED["settlement"].name, name=name, delay=0.5)
