from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HistoryConfig(AppConfig):
    name = "por.history"
    verbose_name = _("History")

    def ready(self) -> None:
        from por.history import checks, figures, tasks  # noqa: F401  # checks and figures register themselves
        from por.history.actions import recording

        recording.wake.task = tasks.relay
