from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClaimsConfig(AppConfig):
    name = "associations.claims"
    verbose_name = _("Claims")

    def ready(self) -> None:
        from associations.claims import policies, programs  # noqa: F401  # a wrong file stops the start
        from associations.claims.events import claims, comments, conflicts, reviews  # noqa: F401  # importing them registers them
        from por.history.actions import recording as history

        history.open_events()  # this is the last room, and no event can be registered after this
