from django.apps import AppConfig


class PbxConfig(AppConfig):
    name = "pbx"
    verbose_name = "Site"

    def ready(self) -> None:
        from . import checks, receivers  # noqa: F401 - importing it registers the checks

        receivers.connect()
