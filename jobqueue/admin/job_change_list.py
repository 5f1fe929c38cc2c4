"""The list of jobs as Django's admin reads it: which pages it has, how many rows, and in what order."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.views.main import ORDER_VAR
from django.db import models
from django.http import HttpRequest
from django.urls import reverse

from jobqueue.admin.keyed_list import KeyedChangeList
from jobqueue.admin.keyed_pages import KeyedPages, Part
from jobqueue.admin.listing import (
    COUNTED_STATES,
    INDEXED_STATES,
    bounded,
    count_among_newest,
    parts_of_waiting,
    prepare,
)
from jobqueue.admin.search import asked_of
from jobqueue.admin.searched_page import FoundPages
from jobqueue.admin.state_tabs import state_counts


class JobChangeList(KeyedChangeList):
    """A list of jobs whose rows lead to the page of the job, also from the lists of failed and stuck ones."""

    model_admin: Any
    also_taken = ("state",)  # the lists of failed and of stuck jobs have no filter for it
    _state = ""

    def pages(self, request: HttpRequest) -> KeyedPages | None:
        """By the indexes of its state, or of what a search finds."""
        self._state = self.model_admin.state_of_list(request)
        if asked_of(request):
            part = Part.of(self.queryset)
            return FoundPages([part], self.list_per_page) if part is not None else None
        if self._is_in_parts:
            return KeyedPages(parts_of_waiting(self.queryset), self.list_per_page)
        return super().pages(request)

    @property
    def _is_in_parts(self) -> bool:
        return self._state == "waiting" and not self.query and not self.params.get(ORDER_VAR)

    def number(self, request: HttpRequest, pages: KeyedPages) -> Any:
        """Where only a state and perhaps a queue are chosen, nothing has to be counted."""
        if isinstance(pages, FoundPages):
            return pages.count
        chosen = {name: text for name, text in self.params.items() if name != ORDER_VAR}
        if self.model_admin.has_state_filter:
            chosen.pop("state", None)
        queue = chosen.pop("queue", "")
        if self._state in COUNTED_STATES and not chosen:
            return bounded(state_counts(request, self.queryset.db).number(self._state, queue) or 0)
        if self._state in INDEXED_STATES:
            return super().number(request, pages)
        return count_among_newest(self.queryset, self.list_per_page + 1)

    def get_results(self, request: HttpRequest) -> None:
        """Read the page, and with it what its rows show."""
        super().get_results(request)
        self.result_list = prepare(self.result_list, request, self.model_admin.admin_site)

    def get_ordering_field_columns(self) -> Any:
        """The column that the list is really ordered by; none where it is in parts."""
        if self._is_in_parts:
            return {}
        if self.params.get(ORDER_VAR):
            return super().get_ordering_field_columns()
        leading = str(self.queryset.query.order_by[0])
        fields = [self.get_ordering_field(name) for name in self.list_display]
        name = leading.removeprefix("-").replace("pk", "id")
        return {fields.index(name): "desc" if leading.startswith("-") else "asc"} if name in fields else {}

    def url_for_result(self, result: models.Model) -> str:
        """The page of the job."""
        return reverse(f"{self.model_admin.admin_site.name}:jobqueue_job_change", args=[result.pk])
