from django.apps import AppConfig


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        from . import receivers, switchxml  # noqa: F401 - importing it registers how agents render

        receivers.connect()
