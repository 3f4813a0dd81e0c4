from django.apps import AppConfig


class PorConfig(AppConfig):
    """The ground the rooms stand on: template tags, commands, checks."""

    name = "por"
    verbose_name = "Partner of Record"

    def ready(self) -> None:
        # The checks register themselves; every process wakes tasks, so each needs the Celery application.
        from por.ops import checks  # noqa: F401
