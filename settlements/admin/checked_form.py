"""Forms that are refused if the record was changed while their page was open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from jobqueue.admin import SHOWN, UNKNOWN, Shown, ShownField, seal, unseal
from settlements.admin.amounts import as_posted, names_posted
from settlements.admin.changers import changed_by
from settlements.admin.input_names import name_parts
from settlements.admin.masked_fields import hidden, is_hidden, mask_inputs, names_address
from settlements.admin.shown import as_python, difference, values_of

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
else:
    AnyModelForm = forms.ModelForm

NOT_SAVED: Final = _(
    "Nothing was saved. What you entered is still in the form: look at what is new, then save again."
)


class CheckedForm(AnyModelForm):
    """Sends along what the page showed of `watched`, and takes nothing if the locked row says something else.

    What the operator did not touch follows the row when the form is shown again; what was entered stays.
    """

    watched: ClassVar[tuple[str, ...]] = ()
    masked: ClassVar[tuple[str, ...]] = ()
    """Those of `watched` that may name addresses."""
    may_read: ClassVar[bool] = True
    """Whether it is shown to somebody who sees these."""
    refusal: ClassVar[str] = ""
    """Why the model did not take what an earlier try of this request had saved."""

    shown_values = ShownField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prepare()
        name_parts(self.fields)
        self.trouble: list[str] = []
        """What happened to the record while the page was open."""
        if self.instance._state.adding:
            return
        # The instance is the row here; what was entered is put on it later.
        self._now = self._as_carried(values_of(self.instance, self.watched))
        if not self.may_read:
            mask_inputs(self, self.masked)
        self.initial[SHOWN] = seal(self._model, self.instance.pk, self._now)
        if self.is_bound:
            self._compare()

    def _as_carried(self, values: dict[str, Any]) -> dict[str, Any]:
        """What the page carries of the row, for all to read: of what it masks no more than a sign."""
        if self.may_read:
            return values
        carried = {name: hidden(values[name]) for name in self.masked if names_address(values[name])}
        return values | carried

    def prepare(self) -> None:
        """Fit the fields to the record, before anything looks at what was sent."""

    @property
    def _model(self) -> Any:
        return type(self.instance)

    def _compare(self) -> None:
        text = self.data.get(self.add_prefix(SHOWN), "")
        shown = unseal(self._model, self.instance.pk, text, self._now)
        if shown is None:
            self.trouble = [str(UNKNOWN)]
            return
        changed = [name for name in self.watched if shown.values[name] != self._now[name]]
        if changed:
            self._follow(changed, shown)
            self.trouble = [self._what_changed(changed, shown)]

    def _what_changed(self, changed: list[str], shown: Shown) -> str:
        currency = str(getattr(getattr(self.instance, "amount", None), "currency", ""))
        differences = "; ".join(
            difference(self._model, name, shown.values[name], self._now[name], currency) for name in changed
        )
        settlement_id = getattr(self.instance, "settlement_id", None)
        whom = changed_by(self._model, self.instance.pk, shown.at, settlement_id)
        name = self._model._meta.verbose_name
        text = gettext("This %(name)s was changed while the page was open. %(differences)s by %(whom)s.") % {
            "name": name,
            "differences": capfirst(differences),
            "whom": whom,
        }
        return f"{text} {NOT_SAVED}"

    def _follow(self, changed: list[str], shown: Shown) -> None:
        """Fields that were sent as they had been shown follow the row: nobody meant to set them back."""
        data: Any = cast(Any, self.data).copy()
        for name in changed:
            field = self.fields.get(name)
            if field is None or field.disabled:
                continue
            prefixed = self.add_prefix(name)
            sent = field.widget.value_from_datadict(self.data, self.files, prefixed)
            if not self._is_touched(name, field, shown.values[name], sent):
                for key in names_posted(field, prefixed):
                    data.pop(key, None)
                for key, text in as_posted(field, prefixed, self.initial[name]).items():
                    data[key] = text
        self.data = data

    def _is_touched(self, name: str, field: forms.Field, shown: Any, sent: Any) -> bool:
        """Whether another value was sent than the page had shown; what it masked was no input."""
        if is_hidden(shown):
            return False
        return field.has_changed(_as_shown(as_python(self._model, name, shown), field), sent)

    def clean(self) -> dict[str, Any] | None:
        """Refuse what was entered without knowing the row as it is."""
        cleaned = super().clean()
        for text in self.trouble:
            self.add_error(None, ValidationError(text, code="stale"))
        if self.refusal:
            self.add_error(None, ValidationError(f"{capfirst(self.refusal)}.", code="refused"))
        return cleaned


def _as_shown(value: Any, field: forms.Field) -> Any:
    """Inputs of dates show whole seconds."""
    if hasattr(value, "microsecond") and not field.widget.supports_microseconds:
        return value.replace(microsecond=0)
    return value
