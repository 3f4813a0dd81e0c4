from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "por.accounts"
    verbose_name = _("Accounts")

    def ready(self) -> None:
        from allauth.account.signals import password_changed, password_reset
        from django.contrib.auth.signals import user_logged_in

        from por.accounts import events, sessions  # noqa: F401  # registers the events

        user_logged_in.connect(sessions.begin)
        password_changed.connect(sessions.end_others)
        password_reset.connect(sessions.end_others)
