from django.apps import AppConfig


class PorConfig(AppConfig):
    """The ground the rooms stand on: template tags, commands, checks."""

    name = "por"
    verbose_name = "Partner of Record"

    def ready(self) -> None:
        from por import checks  # noqa: F401  # registers them
