"""Forms of business hours: the week, a calendar of holidays, and “closed now”."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminFileFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminSplitDateTimeWidget,
)

from .calendars import read_calendar
from .models import BusinessHours


class BusinessHoursForm(forms.ModelForm):
    """The hours, and a calendar file whose holidays are added."""

    calendar = forms.FileField(
        required=False,
        label="Holidays from a calendar",
        help_text="An .ics file, as governments publish them: its whole-day events become holidays.",
        widget=UnfoldAdminFileFieldWidget,
    )

    class Meta:
        model = BusinessHours
        exclude: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/"))
        zones = [(name, name.replace("_", " ")) for name in ["UTC", *names]]
        if "time_zone" in self.fields:
            self.fields["time_zone"] = forms.ChoiceField(
                choices=zones,
                widget=UnfoldAdminSelectWidget(),
                help_text=self.fields["time_zone"].help_text,
                initial=self.fields["time_zone"].initial,
            )

    def clean_calendar(self) -> Any:
        file = self.cleaned_data.get("calendar")
        return read_calendar(file.read()) if file else None


_SOON = {
    "1": "for an hour",
    "4": "for four hours",
    "today": "for the rest of the day",
    "open": "not any more: follow the hours again",
    "at": "until:",
}


class CloseForm(forms.Form):
    """Until when it is closed."""

    how_long = forms.ChoiceField(
        choices=list(_SOON.items()), initial="today", widget=forms.RadioSelect, label="Closed"
    )
    until = forms.SplitDateTimeField(required=False, widget=UnfoldAdminSplitDateTimeWidget, label="Until")

    def __init__(self, *args: Any, hours: BusinessHours, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.zone = ZoneInfo(hours.time_zone)
        self.moment: datetime | None = None

    def clean(self) -> dict[str, Any]:
        values = super().clean()
        if how_long := values.get("how_long"):
            self.moment = self._moment(how_long, values.get("until"))
        return values

    def _moment(self, how_long: str, until: datetime | None) -> datetime | None:
        now = timezone.now()
        match how_long:
            case "open":
                return None
            case "today":
                tomorrow = now.astimezone(self.zone).date() + timedelta(days=1)
                return datetime.combine(tomorrow, datetime.min.time(), self.zone)
            case "at":
                if until is None or until <= now:
                    raise ValidationError({"until": "Type a day and a time that are still to come."})
                return until
        return now + timedelta(hours=int(how_long))

    @property
    def moment_in_words(self) -> str:
        return (
            f"{self.moment.astimezone(self.zone):%A %Y-%m-%d %H:%M} ({self.zone.key})" if self.moment else ""
        )
