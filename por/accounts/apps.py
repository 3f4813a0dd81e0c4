from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "por.accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from por.accounts import events  # noqa: F401  # registers the events
