from django.apps import AppConfig


class RoutesConfig(AppConfig):
    name = "routes"
    verbose_name = "Routing"

    def ready(self) -> None:
        from . import receivers, switchxml  # noqa: F401 - importing it registers how routes render

        receivers.connect()
