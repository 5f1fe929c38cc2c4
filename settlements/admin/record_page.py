"""Pages of settlements and payments: locked while they are saved, checked against what they showed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.db import connections, models, router
from django.http import HttpRequest, HttpResponse

from jobqueue.admin import SHOWN
from jobqueue.operating import demand, may_read
from settlements.admin.moves import moves_of
from settlements.exceptions import InvalidAmount, InvalidRefund
from settlements.operating.moves import Move
from settlements.operating.rights import may, right

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    AnyAdmin = ModelAdmin[Any]
else:
    AnyAdmin = object


class RecordPageMixin(AnyAdmin):
    """The page of one record: what speaks of it above its form, and buttons for what may be done to it."""

    moves: ClassVar[Sequence[Move]] = ()
    change_form_template = "admin/settlements/record.html"

    def facts_of(self, record: Any, request: HttpRequest) -> dict[str, Any]:
        """What the page shows above the form."""
        return {}

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Those that this operator may take."""
        refused = {move.name for move in self.moves if not may(request, move.permission, self.model)}
        found = super().get_actions(request)
        return {name: action for name, action in found.items() if name not in refused}

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list; an action that the operator may not take is refused by the name of what it takes."""
        asked = request.POST.getlist("action")
        demand(request, *(right(move.permission, self.model) for move in self.moves if move.name in asked))
        return super().changelist_view(request, extra_context)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The record's page with its facts and buttons."""
        response = super().change_view(request, object_id, form_url, extra_context)
        context = getattr(response, "context_data", None)
        record = self._as_it_is(request, object_id, context) if context else None
        if context is not None and record is not None:
            context |= {**self.story_of(record, request, context), **self.head_of(record, request)}
        return response

    def head_of(self, record: Any, request: HttpRequest) -> dict[str, Any]:
        """What stands above the form: facts, and what may be done to the record now."""
        return {
            "facts": self.facts_of(record, request),
            "moves": moves_of(self, request, record, self.moves),
            "moved": record,
            "checkbox": ACTION_CHECKBOX_NAME,
        }

    def story_of(self, record: Any, request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
        """What the page shows below the form, from what it has read."""
        return {}

    def _as_it_is(self, request: HttpRequest, object_id: str, context: dict[str, Any]) -> Any:
        """The record: after a refused form as the locked row is, and not as somebody entered it."""
        return (
            self.get_object(request, unquote(object_id)) if request.method == "POST" else context["original"]
        )


class CheckedPageMixin(AnyAdmin):
    """A form that is refused if its record was changed meanwhile, or if the model does not take it."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The record, locked while a form about it is looked at."""
        found = super().get_object(request, object_id, from_field)
        using = router.db_for_write(self.model)
        if found is None or request.method != "POST" or not connections[using].in_atomic_block:
            return found
        rows: models.QuerySet[Any] = self.get_queryset(request).using(using)
        return rows.select_for_update(of=("self",), no_key=True).filter(pk=found.pk).first()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The fields, and where something may be changed what the page showed of it."""
        fieldsets = [(title, dict(options)) for title, options in super().get_fieldsets(request, obj)]
        if obj is not None and self.has_change_permission(request, obj):
            options = fieldsets[-1][1]
            options["fields"] = [*options["fields"], SHOWN]
        return fieldsets

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """The form, with what the model said of an earlier try, and what its reader may read."""
        form: Any = super().get_form(request, obj, change, **kwargs)
        form.may_read = may_read(request)
        form.refusal = getattr(request, "_refusal", "")
        return form

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """Show the form again with what the model did not take, where it found out while it was saving."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except (InvalidAmount, InvalidRefund) as error:
            request._refusal = str(error)  # type: ignore[attr-defined]
            return super().changeform_view(request, object_id, form_url, extra_context)
