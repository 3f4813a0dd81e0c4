"""Competencies: which level a partner's company has reached, and holds."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CompetenciesConfig(AppConfig):
    name = "competencies"
    verbose_name = _("Competencies")

    def ready(self) -> None:
        from competencies import actions, events, tasks  # noqa: F401  # events register themselves
        from competencies.imports import HOLDINGS
        from competencies.overrides.events import OverrideEvent
        from por.history.actions import recording as history
        from por.history.events import keys, registered
        from por.imports import whole

        actions.wake.task = tasks.recompute
        whole.register(HOLDINGS, last=actions.after_import)
        history.open_events()  # this is the last room, and no event can be registered after this
        for spec in registered():
            required, optional = keys(spec.payload)
            if "fingerprints" in required | optional:  # the event changes associations
                history.on(spec.name, actions.recompute)
        for verb in (OverrideEvent.GIVEN, OverrideEvent.ENDED):
            history.on(verb, actions.recompute_company)
        history.around(actions.together)
