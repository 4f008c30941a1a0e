"""The form of a gateway: its password is typed, kept, and never shown again."""

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminPasswordInput

from .models import Gateway


class GatewayForm(forms.ModelForm):
    """An empty password field keeps the password that there is."""

    password = forms.CharField(
        required=False,
        max_length=200,
        strip=False,
        widget=UnfoldAdminPasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Kept encrypted and never shown. Empty: unchanged.",
    )

    class Meta:
        model = Gateway
        exclude: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = self.instance.password if self.instance.pk else ""
        self.initial.pop("password", None)

    def clean_password(self) -> str:
        return self.cleaned_data.get("password") or self._kept
