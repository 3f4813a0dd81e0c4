from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ImportsConfig(AppConfig):
    name = "por.imports"
    label = "estate"  # its tables keep their names
    verbose_name = _("Data imports")

    def ready(self) -> None:
        from por.imports import events, tasks  # noqa: F401  # registers the events
        from por.imports.actions import requests

        requests.wake.task = tasks.run
