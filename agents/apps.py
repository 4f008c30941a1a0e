from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"
    verbose_name = "Phones"

    def ready(self) -> None:
        from . import receivers, switchxml  # noqa: F401 - importing it registers how agents render

        receivers.connect()
