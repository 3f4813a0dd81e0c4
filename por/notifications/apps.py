from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "por.notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from por.notifications import (
            tasks,
            welcome,  # noqa: F401  # registers its mail
        )
        from por.notifications.actions import delivering

        delivering.wake.task = tasks.deliver
