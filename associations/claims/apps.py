from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClaimsConfig(AppConfig):
    name = "associations.claims"
    verbose_name = _("Claims")

    def ready(self) -> None:
        from associations.claims import figures, policies, programs  # noqa: F401  # a wrong file stops the start
        from associations.claims.actions.outside import settle, uses_of
        from associations.claims.actions.scheduled import run_due
        from associations.claims.events import claims, comments, conflicts, endings, reviews  # noqa: F401  # importing them registers them
        from associations.tasks import also_due
        from por.directory.imports.organisations import use_checks
        from por.history.actions import recording as history
        from por.imports import whole

        also_due.append(run_due)
        use_checks.append(uses_of)
        whole.register(last=settle)

        history.open_events()  # this is the last room, and no event can be registered after this
