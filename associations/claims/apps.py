from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClaimsConfig(AppConfig):
    name = "associations.claims"
    verbose_name = _("Claims")

    def ready(self) -> None:
        from associations.claims import policies, programs  # noqa: F401  # a wrong file stops the start
