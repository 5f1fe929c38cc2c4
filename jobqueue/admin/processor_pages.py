"""Every processor with its limits and how much of them is used up now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import live
from jobqueue.admin.limits import ProcessorLimitsForm, limits_of, use_of
from jobqueue.admin.live_record import LiveRecordMixin
from jobqueue.admin.not_found import FramedNotFound
from jobqueue.admin.offered_lookups import OfferedLookups
from jobqueue.admin.own_changes import OwnChangesPage
from jobqueue.admin.words import NOTHING
from jobqueue.models import ProcessorLimits
from jobqueue.operating.limits import PROCESSOR_LIMITS, change_processor_limits
from jobqueue.operating.processors import ProcessorUse, processors_in_use
from jobqueue.operating.rights import Right, demand, may, permissions_of
from jobqueue.operating.words import grouped, printable
from jobqueue.registry import is_registered

if TYPE_CHECKING:
    ProcessorModelAdmin = admin.ModelAdmin[ProcessorLimits]
else:
    ProcessorModelAdmin = admin.ModelAdmin


class ProcessorChangeList(OfferedLookups):
    """The processors that are registered or have limits, with what runs at this moment."""

    def get_results(self, request: HttpRequest) -> None:
        """Read them, and their use once for all."""
        super().get_results(request)
        found = processors_in_use()
        for use in found:
            vars(use.limits)["_use"] = use
        self.result_list = [use.limits for use in found]
        self.result_count = len(self.result_list)


@admin.register(ProcessorLimits)
class ProcessorLimitsAdmin(LiveRecordMixin, OwnChangesPage, FramedNotFound, ProcessorModelAdmin):
    """Limits of processors. Processors are registered in code, not here."""

    list_display = ("processor", "queue", "limits", "used", "running")
    form = ProcessorLimitsForm
    fieldsets = (
        (
            None,
            {
                "fields": PROCESSOR_LIMITS,
                "description": _(
                    "They hold over all queues of the processor, and a change is in force within a second. "
                    "Jobs that run are left alone. Workers of a release before do not keep them."
                ),
            },
        ),
    )
    form_permissions = {"change": Right.LIMIT_PROCESSOR}
    sortable_by = ()
    actions = None
    show_full_result_count = False

    class Media:
        css = {"all": ["jobqueue/admin.css", "jobqueue/overview.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Processors are registered in code."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this user may see queues."""
        return request.user.has_perm("jobqueue.view_queue")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Whether this user may change limits."""
        return may(request, Right.LIMIT_PROCESSOR)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What has no limits any more stands in its row."""
        return False

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whether the menu leads here."""
        return self.has_view_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ProcessorChangeList]:
        """The list that brings what runs."""
        return ProcessorChangeList

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """The limits of that processor; one that has no row yet has none."""
        found = super().get_object(request, object_id, from_field)
        return ProcessorLimits(object_id) if found is None and is_registered(object_id) else found

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The processors, refreshed while the page is looked at."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        title = capfirst(self.opts.verbose_name_plural)
        return live.answer(
            request, super().changelist_view(request, {"title": title, **(extra_context or {})})
        )

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """The limits of one processor."""
        if request.method == "POST":
            demand(request, *permissions_of(Right.LIMIT_PROCESSOR))
        context = {"title": _("Limits"), "show_save_and_continue": False, **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: ProcessorLimits, form: Any, change: bool) -> None:
        """Change what was changed in the form, as the API does it, and write it down."""
        asked = {name: form.cleaned_data[name] for name in form.changed_data if name in PROCESSOR_LIMITS}
        change_processor_limits(request, obj.name, asked, form.cleaned_data["reason"], seen=form.seen)
        obj.refresh_from_db()  # somebody may have changed the others meanwhile

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        """It is written down already; what changed nothing is none."""

    def response_change(self, request: HttpRequest, obj: ProcessorLimits) -> HttpResponse:
        """Back to the processors, with what is in force now."""
        words = {"processor": printable(obj.name), "limits": limits_of(obj) or gettext("none")}
        text = gettext("Limits of processor %(processor)s: %(limits)s.")
        self.message_user(request, text % words, messages.SUCCESS)
        return HttpResponseRedirect(reverse(f"{self.admin_site.name}:jobqueue_processorlimits_changelist"))

    # Columns --------------------------------------------------------------------------------------

    @admin.display(description=_("processor"))
    def processor(self, row: ProcessorLimits) -> str:
        """Its name."""
        return printable(row.name)

    @admin.display(description=_("queue"), empty_value=NOTHING)
    def queue(self, row: ProcessorLimits) -> str | None:
        """Where its jobs go unless they are told otherwise."""
        return _use(row).queue or None

    @admin.display(description=_("limits"), empty_value=NOTHING)
    def limits(self, row: ProcessorLimits) -> str | None:
        """How many of its jobs may start in a second, and run at once."""
        return limits_of(row) or None

    @admin.display(description=_("in use"), empty_value=NOTHING)
    def used(self, row: ProcessorLimits) -> SafeString | None:
        """How much of its limits is used up now."""
        return use_of(row, grouped(_use(row).active), _use(row).starts) or None

    @admin.display(description=_("active"))
    def running(self, row: ProcessorLimits) -> str:
        """How many of its jobs run."""
        return grouped(_use(row).active)


def _use(row: ProcessorLimits) -> ProcessorUse:
    use: ProcessorUse = vars(row)["_use"]
    return use
