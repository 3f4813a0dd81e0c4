from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EstateConfig(AppConfig):
    name = "por.estate"
    verbose_name = _("Data imports")

    def ready(self) -> None:
        from por.estate import actions, events, tasks  # noqa: F401  # registers its events

        actions.wake.task = tasks.run
