"""What an error page and an error report may show: with DEBUG a page for developers, who still are no owners
of the agents' passwords."""

from typing import Any

from django.http import HttpRequest
from django.views.debug import SafeExceptionReporterFilter

HIDDEN = SafeExceptionReporterFilter.cleansed_substitute


class NoValues(SafeExceptionReporterFilter):
    """Names of variables and fields, never their values: a password may be in any of them (an element's
    attribute, a line of a file, an answer of the switch)."""

    def get_post_parameters(self, request: HttpRequest | None) -> Any:
        """Posted fields by name, with their values hidden."""
        return {} if request is None else dict.fromkeys(request.POST, HIDDEN)

    def get_traceback_frame_variables(self, request: HttpRequest | None, tb_frame: Any) -> Any:
        """The local variables of a frame by name, with their values hidden."""
        return [(name, HIDDEN) for name in tb_frame.f_locals]
