"""Forms of limits that write only what their operator changed, and nothing over what they did not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext

from jobqueue.admin.shown_values import SHOWN, UNKNOWN, ShownField, seal, unseal
from jobqueue.exceptions import ChangedMeanwhile
from jobqueue.operating.limits import Limits, who_limited
from jobqueue.operating.words import grouped, printable

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    AnyAdmin = ModelAdmin[Any]
    AnyModelForm = forms.ModelForm[Any]
else:
    AnyAdmin = object
    AnyModelForm = forms.ModelForm

_LONGEST_TYPED = 20


class OwnChangesForm(AnyModelForm):
    """Sends along the limits that the page showed: what was sent as it had been shown follows the row.

    Its `changed_data` is what the operator changed, and `seen` how these limits are in the row that was read.
    A limit that somebody else changed meanwhile to something else is an error of its field.
    """

    limits: ClassVar[Sequence[str]] = ()

    shown_values = ShownField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # The instance is the row here; what was entered is put on it later.
        self.seen: Limits = {name: getattr(self.instance, name) for name in self.limits}
        key = type(self.instance), self.instance.pk
        self.initial[SHOWN] = seal(*key, self.seen)
        self._overlooked: dict[str, int | None] = {}
        """What was shown of the limits that the operator changed, and somebody else meanwhile."""
        if self.is_bound:
            shown = unseal(*key, self.data.get(self.add_prefix(SHOWN), ""), self.seen)
            self._is_unknown = shown is None
            self._follow(self.seen if shown is None else shown.values, is_known=shown is not None)

    def _follow(self, shown: Limits, *, is_known: bool) -> None:
        data: Any = cast(Any, self.data).copy()
        for name, now in self.seen.items():
            if is_known and self.fields[name].has_changed(shown[name], self._sent(name)):
                if shown[name] != now:
                    self._overlooked[name] = shown[name]
            else:
                data[self.add_prefix(name)] = "" if now is None else str(now)
        self.data = data

    def _sent(self, name: str) -> str:
        prefixed = self.add_prefix(name)
        return str(self.fields[name].widget.value_from_datadict(self.data, self.files, prefixed) or "")

    def clean(self) -> dict[str, Any] | None:
        """Refuse what would undo what nobody here has seen; that both want the same is no quarrel."""
        cleaned = super().clean()
        if self._is_unknown:
            self.add_error(None, ValidationError(str(UNKNOWN), code="stale"))
        for name, shown in self._overlooked.items():
            if self.cleaned_data.get(name, shown) != self.seen[name]:
                self.add_error(name, ValidationError(self._what_changed(name, shown), code="stale"))
        return cleaned

    def _what_changed(self, name: str, shown: int | None) -> str:
        text = gettext(
            "While this form was open, %(who)s changed this: %(before)s → %(now)s. You entered %(entered)s. "
            "Nothing was saved: save again if it is to be so all the same."
        )
        return text % {
            "who": printable(who_limited(self.instance, name)) or gettext("a program"),
            "before": _in_words(shown),
            "now": _in_words(self.seen[name]),
            "entered": printable(self._sent(name).strip()[:_LONGEST_TYPED]) or gettext("none"),
        }


def _in_words(limit: int | None) -> str:
    return gettext("none") if limit is None else grouped(limit)


class OwnChangesPage(AnyAdmin):
    """The page of such a form."""

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The limits; for who may change them a reason, and what the page showed."""
        [(title, options)] = fieldsets = super().get_fieldsets(request, obj)
        if not self.has_change_permission(request, obj):
            return fieldsets
        return [(title, {**options, "fields": [*options["fields"], "reason", SHOWN]})]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        """The form; once more where its row was changed between the look at it and its lock."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except ChangedMeanwhile:
            return self.changeform_view(request, object_id, form_url, extra_context)
