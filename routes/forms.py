"""Fields in which destinations are typed, with suggestions, and understood as they are typed."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.urls import reverse_lazy
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from .destinations import HOW_TO_TYPE, Destination, Words, fetch, typed


class _Understood:
    """A field under which stands, as it is typed, what `url` understands by it."""

    url = "destinations"

    def __init__(self, attrs: dict[str, Any]) -> None:
        asking = {
            "hx-get": reverse_lazy(self.url),
            "hx-trigger": "load, input changed delay:150ms",
            "hx-target": "next .pb-understood",
            "hx-swap": "innerHTML",
        }
        super().__init__(attrs={"autocomplete": "off", **asking, **attrs})

    def render(self, *args: Any, **kwargs: Any) -> SafeString:
        field = super().render(*args, **kwargs)
        return format_html('{}<p class="pb-understood" aria-live="polite"></p>', field)


class UnderstoodInput(_Understood, UnfoldAdminTextInputWidget):
    """One line."""


class UnderstoodLines(_Understood, UnfoldAdminTextareaWidget):
    """Several lines, each understood by itself."""


class UnderstoodNumber(_Understood, UnfoldAdminTextInputWidget):
    """A telephone number of one's own."""

    url = "understood_number"


def read(texts: list[str]) -> list[Destination]:
    """What was typed; raises ValidationError with the fix for the first that is no destination."""
    words = Words()
    words.load(texts)
    return [words.read(text) for text in texts]


class DestinationFormField(forms.CharField):
    """One destination as a person types it; its value is a `Destination` or None."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["widget"] = UnderstoodInput(
            {
                "list": "pb-destinations",
                "placeholder": "1020, voicemail 1020, +1 949 543 1333, message closed.wav",
            }
        )
        help_text = kwargs.get("help_text") or HOW_TO_TYPE
        super().__init__(**{**kwargs, "help_text": help_text})

    def to_python(self, value: Any) -> Destination | None:
        if isinstance(value, Destination):
            return value
        text = super().to_python(value)
        return read([text])[0] if text else None

    def prepare_value(self, value: Any) -> Any:
        return typed(value, fetch([value])) if isinstance(value, Destination) else value


class DestinationsFormField(forms.CharField):
    """Several destinations, one a line."""

    def __init__(self, *, encoder: Any = None, decoder: Any = None, **kwargs: Any) -> None:
        kwargs["widget"] = UnderstoodLines({"rows": 6, "placeholder": "1020\n1021\n+1 949 543 1333"})
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> list[Destination]:
        if isinstance(value, list):
            return value
        lines = [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]
        found, problems = [], []
        for number, line in enumerate(lines, start=1):
            try:
                found += read([line])
            except ValidationError as refused:
                problems.append(f"Line {number}: {' '.join(refused.messages)}")
        if problems:
            raise ValidationError(problems)
        return found

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        targets = fetch(value)
        return "\n".join(typed(each, targets) for each in value)
