"""What every list of jobs has: its actions, its search, its paging and its columns."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import SEARCH_VAR
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.text import capfirst, format_lazy

from jobqueue.admin import live, set_aside
from jobqueue.admin.dates import date_links
from jobqueue.admin.guarded_actions import ACTIONS
from jobqueue.admin.job_change_list import JobChangeList
from jobqueue.admin.job_columns import JobColumns, read_details
from jobqueue.admin.listing import BoundedPaginator
from jobqueue.admin.offered_verbs import offered
from jobqueue.admin.permissions import JobPermissions
from jobqueue.admin.search import help_for, search_jobs, shown_search
from jobqueue.admin.state_tabs import tabs_of_jobs
from jobqueue.models import Job
from jobqueue.operating.rights import demand
from jobqueue.operating.verbs import BULK_VERBS, Verb
from jobqueue.searching import OF_ANY_STATE

JOB_ID = re.compile(r"-?\d{1,19}", re.ASCII)
# Not by id where few rows of the table are in that state: SQLite would read them all in that order.
LONGEST_RUNNING = ("started_at", "id")
LATEST_ENDED = ("-finished_at", "-id")


class JobList(JobColumns, JobPermissions):
    """What every list of jobs has: nothing is edited, everything goes through the verbs."""

    has_state_filter = False
    only_state = ""
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    ordering: ClassVar[tuple[str, ...]] = ("-id",)
    sortable_by: ClassVar[tuple[str, ...]] = ("number",)
    search_fields = ("id",)

    class Media:
        css = {"all": ["jobqueue/admin.css"]}

    # The list -------------------------------------------------------------------------------------

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs that the list offers; what is sent may be any this user may use.

        A page that was opened before sends what this list does not offer, and so does the page of a job: the
        verb says then which jobs it takes.
        """
        is_sent = request.method == "POST"
        return {
            verb.name: (ACTIONS[verb.name], verb.name, format_lazy("{} …", verb.label))
            for verb in (self.allowed_verbs(request) if is_sent else self.offered_verbs(request))
        }

    def offered_verbs(self, request: HttpRequest) -> list[Verb]:
        """What this user may do to jobs in the state of this list."""
        text = request.GET.get(SEARCH_VAR, "")
        return offered(self.allowed_verbs(request), self.state_of_list(request), text)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[JobChangeList]:
        """The list that reads what its rows show in a few queries."""
        return JobChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """What the words of the search find."""
        if not search_term.strip():
            return queryset, False
        return search_jobs(queryset, search_term, request, self.state_of_list(request)), False

    def state_of_list(self, request: HttpRequest) -> str:
        """The state word that the list is narrowed to."""
        return request.GET.get("state", "") if self.has_state_filter else self.only_state

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; an action that the user may not use is refused aloud."""
        if any(name != SEARCH_VAR and "\x00" in "".join(texts) for name, texts in request.GET.lists()):
            raise BadRequest("no filter has the character U+0000")
        if request.method == "POST":
            self._check_post(request)
        state = self.state_of_list(request)
        context = {
            "title": capfirst(self.opts.verbose_name_plural),
            "all_matching": {
                "verbs": self.offered_verbs(request),
                "open": not self.has_state_filter or state not in ("", *OF_ANY_STATE),
            },
            **(extra_context or {}),
        }
        response = super().changelist_view(request, context)
        if isinstance(response, TemplateResponse) and "cl" in (response.context_data or {}):
            self.add_to_list(request, response.context_data or {})
        return live.answer(request, response)

    def add_to_list(self, request: HttpRequest, context: dict[str, Any]) -> None:
        """More of what the page of the list shows."""
        context["set_aside"] = set_aside.notice(request, self.admin_site)
        read_details(context["cl"], request)
        context["tabs"] = tabs_of_jobs(context["cl"], request, self.admin_site.name)
        context["cl"].search_help_text = help_for(request.user)
        context["searched"] = shown_search(request, context["cl"], self.admin_site)
        # Words say times themselves (`since:`): a search has as many questions of its own as a list may ask.
        # A date that is chosen stays in sight, for it narrows the search.
        dates = f"{self.date_hierarchy}__"
        if self.date_hierarchy and (
            not context["cl"].query or any(name.startswith(dates) for name in request.GET)
        ):
            context["dates"] = date_links(context["cl"], self.date_hierarchy)

    def _check_post(self, request: HttpRequest) -> None:
        asked = [BULK_VERBS[name] for name in request.POST.getlist("action") if name in BULK_VERBS]
        demand(request, *(verb.right for verb in asked))


class JobMenuEntry(JobList):
    """A menu entry of its own for some jobs. Their pages are those of the job."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The page of the job."""
        number = unquote(object_id)
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not (JOB_ID.fullmatch(number) and Job.objects.filter(pk=number).exists()):
            self.raise_not_found(number)
        name = f"{self.admin_site.name}:jobqueue_job_change"
        return HttpResponseRedirect(reverse(name, args=[quote(number)]))
