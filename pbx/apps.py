from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core.checks import CheckMessage, Tags, register


class AdminConfig(SimpleAdminConfig):
    """The admin, whose classes `pbx.urls` imports: workers and commands serve no pages and start sooner."""

    def ready(self) -> None:
        register(check_dependencies, Tags.admin)
        register(_check_admin, Tags.admin)


def _check_admin(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    from . import urls  # noqa: F401 - importing it registers what is checked

    return check_admin_app(app_configs, **kwargs)


class PbxConfig(AppConfig):
    name = "pbx"
    verbose_name = "Site"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401 - importing it registers the checks

        receivers.connect()
