from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HistoryConfig(AppConfig):
    name = "por.history"
    verbose_name = _("History")

    def ready(self) -> None:
        from por.history import tasks
        from por.history.actions import recording

        recording.wake.task = tasks.relay
