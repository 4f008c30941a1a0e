from django.apps import AppConfig


class RoutesConfig(AppConfig):
    name = "routes"
    verbose_name = "Routing"

    def ready(self) -> None:
        from . import guards, receivers, switchxml  # noqa: F401 - importing it registers how routes render

        guards.connect()
        receivers.connect()
