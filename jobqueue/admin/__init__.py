"""The operators' pages in Django's admin: thin edges over the verbs of the models."""

from jobqueue.admin import job_pages, queue_pages, worker_pages
from jobqueue.admin.consequences import sends_emails
from jobqueue.admin.listing import BoundedPaginator
from jobqueue.admin.panel import JobsPanelMixin

__all__ = ["BoundedPaginator", "JobsPanelMixin", "job_pages", "queue_pages", "sends_emails", "worker_pages"]
