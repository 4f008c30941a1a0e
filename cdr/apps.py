from django.apps import AppConfig


class CdrConfig(AppConfig):
    name = "cdr"
    verbose_name = "Records"

    def ready(self) -> None:
        from . import receivers

        receivers.connect()
