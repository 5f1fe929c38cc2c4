"""`manage.py jobqueue_reconcile`: create the jobs that should exist and do not; correct their counts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from jobqueue.registry import all_reconcilers


class Command(BaseCommand):
    """Runs every registered reconciler thoroughly. Safe to repeat and to run beside the workers."""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Run them all; one that fails does not keep the others from running."""
        failed = []
        for name, function in sorted(all_reconcilers().items()):
            try:
                mended = function(full=True)
            except Exception as error:
                failed.append(name)
                self.stderr.write(f"{name}: failed: {type(error).__name__}: {error}")
                continue
            changes = ", ".join(f"{count} {kind}" for kind, count in sorted(mended.items()) if count)
            self.stdout.write(f"{name}: {changes or 'nothing was missing'}")
        if failed:
            raise CommandError(f"reconcilers failed: {', '.join(failed)}")
