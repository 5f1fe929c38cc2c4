"""Whether a database has the tables that this code wants."""

from __future__ import annotations

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.migrations.executor import MigrationExecutor

from jobqueue.registry import all_processors

_OURS = "jobqueue"


def missing_migrations(using: str) -> list[str]:
    """The apps whose tables are missing or older than this code: the job queue, and apps with processors.

    Others are none of a worker's business. An app that another database serves alone is not asked about here.
    """
    executor = MigrationExecutor(connections[using])
    applied = {app for app, _name in executor.loader.applied_migrations}
    wanted = [label for label in _apps() if label == _OURS or _is_used(label, using, applied)]
    leaves = executor.loader.graph.leaf_nodes()
    return [label for label in wanted if executor.migration_plan([key for key in leaves if key[0] == label])]


def _apps() -> list[str]:
    """The job queue, and the apps that processors are written in."""
    labels = [_OURS]
    for processor in all_processors():
        config = apps.get_containing_app_config(processor.function.__module__)
        if config is not None and config.label not in labels:
            labels.append(config.label)
    return labels


def _is_used(label: str, using: str, applied: set[str]) -> bool:
    return label in applied or (using == DEFAULT_DB_ALIAS and router.allow_migrate(using, label))
