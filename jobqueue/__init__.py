"""A durable job queue for Django on django-rq: the database remembers, Redis dispatches."""

__version__ = "1.0.0"
