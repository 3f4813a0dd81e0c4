from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class HistoryConfig(AppConfig):
    name = "por.history"
    verbose_name = _("History")

    def ready(self) -> None:
        from por.history import actions, tasks

        actions.wake.task = tasks.relay
