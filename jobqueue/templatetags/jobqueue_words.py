"""How pages of the job queue say what they show."""

from __future__ import annotations

from django import template

from jobqueue.admin.words import worker_word

register = template.Library()
register.filter(worker_word)
