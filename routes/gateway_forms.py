"""The form of a gateway: its password is typed, kept, and never shown again."""

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from .models import Gateway


class GatewayForm(forms.ModelForm):
    """An empty password field keeps the password that there is."""

    password = forms.CharField(
        required=False,
        max_length=200,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Kept encrypted and never shown. Empty: unchanged.",
    )

    class Meta:
        model = Gateway
        exclude: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = self.instance.password if self.instance.pk else ""
        self.initial.pop("password", None)
        if "profile" in self.fields:
            names = dict.fromkeys([*settings.FS_GATEWAY_PROFILES, self.instance.profile])
            self.fields["profile"].widget = UnfoldAdminSelectWidget(choices=[(name, name) for name in names])

    def clean_password(self) -> str:
        return self.cleaned_data.get("password") or self._kept
