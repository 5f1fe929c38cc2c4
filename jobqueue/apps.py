"""Wires the job queue when Django starts."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_save
from django.utils.module_loading import autodiscover_modules


class JobQueueConfig(AppConfig):
    """The reusable job queue."""

    name = "jobqueue"
    verbose_name = "Job queue"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and every app's processors."""
        from jobqueue import checks, plain_rq
        from jobqueue.counts import proof
        from jobqueue.management import preconditions
        from jobqueue.models import JobTally
        from jobqueue.monitoring import metrics

        assert checks and preconditions  # importing them registers the checks
        metrics.register()
        plain_rq.register()
        post_migrate.connect(proof.after_migrate, sender=self)
        pre_save.connect(proof.before_save, sender=JobTally)
        autodiscover_modules("processors")
