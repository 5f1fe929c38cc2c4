"""Wires the job queue when Django starts."""

from importlib.util import find_spec

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_save
from django.utils.module_loading import autodiscover_modules
from django.utils.translation import gettext_lazy as _


class JobQueueConfig(AppConfig):
    """The reusable job queue."""

    name = "jobqueue"
    verbose_name = _("Job queue")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks and every app's processors."""
        from jobqueue import checks, plain_rq, rule_checks
        from jobqueue.counts import proof
        from jobqueue.management import preconditions
        from jobqueue.models import JobTally
        from jobqueue.sql import masked, zones
        from jobqueue.worker import logs

        assert checks and rule_checks and preconditions  # importing them registers the checks
        _show_metrics()
        _hear_of_the_admins_log()
        plain_rq.register()
        zones.listen()
        masked.listen()
        post_migrate.connect(proof.after_migrate, sender=self)
        pre_save.connect(proof.before_save, sender=JobTally)
        autodiscover_modules("processors")
        logs.harden()


def _show_metrics() -> None:
    """Add ours to what prometheus-client shows, where it is installed (the extra `metrics`)."""
    if find_spec("prometheus_client") is not None:
        from jobqueue.monitoring import metrics

        metrics.register()


def _hear_of_the_admins_log() -> None:
    """Let the audit have what is written into the log of Django's admin, where that is installed."""
    if apps.is_installed("django.contrib.admin"):
        from jobqueue.operating import admins_log

        admins_log.listen()
