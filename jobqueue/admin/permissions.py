"""Who may do what with jobs: each verb has a permission of its own, and nothing is edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as as_django_says

from jobqueue.admin.bounded_search import BoundedSearch
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.models import Job
from jobqueue.operating.rights import VIEW_JOB, Right, may
from jobqueue.operating.verbs import BULK_VERBS, VERBS, Verb

if TYPE_CHECKING:
    JobModelAdmin = admin.ModelAdmin[Job]
else:
    JobModelAdmin = admin.ModelAdmin

_CHECKBOX = '<input type="checkbox" name="{}" value="{}" class="action-select" aria-label="{}">'


class JobPermissions(FramedNotFound, BoundedSearch, JobModelAdmin):
    """The permissions of every page of jobs; `verbs` names what its jobs can take."""

    view_permission = VIEW_JOB
    form_permissions = {"delete": Right.DELETE}
    verbs: tuple[str, ...] = tuple(VERBS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Jobs are enqueued by code."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Jobs change by their verbs only."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """One permission for all lists of jobs."""
        return request.user.has_perm(self.view_permission)

    def delete_model(self, request: HttpRequest, obj: Job) -> None:
        """As the action does it: Django's own page of a deletion tells the app that owns the job as well."""
        VERBS["delete"].apply(Job.objects.filter(pk=obj.pk), request.user.get_username(), "")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A job that runs is not deleted under its worker's hands."""
        allowed = may(request, Right.DELETE)
        return allowed and (obj is None or obj.state != Job.State.ACTIVE)

    def action_checkbox(self, obj: Job) -> SafeString:
        """The same box that Django makes by a template for each row: 10 of 80 ms of a list of 50 jobs."""
        label = format_html(as_django_says("Select this object for an action - {}"), str(obj))
        return format_html(_CHECKBOX, ACTION_CHECKBOX_NAME, obj.pk, label)

    def may(self, request: HttpRequest, verb: Verb) -> bool:
        """Whether this user may do that to jobs."""
        return may(request, verb.right)

    def allowed_verbs(self, request: HttpRequest) -> list[Verb]:
        """What this user may do to the jobs of this list."""
        return [BULK_VERBS[name] for name in self.verbs if self.may(request, BULK_VERBS[name])]
