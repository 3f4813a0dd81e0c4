"""Competencies: which level a partner's company has reached, and holds."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CompetenciesConfig(AppConfig):
    name = "competencies"
    verbose_name = _("Competencies")

    def ready(self) -> None:
        from competencies.imports import HOLDINGS
        from por.history.actions import recording as history
        from por.imports import whole

        whole.register(HOLDINGS)
        history.open_events()  # this is the last room, and no event can be registered after this
