from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "por.notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from por.history.actions import recording as history
        from por.notifications import (  # figures and mails register themselves
            contacts,  # noqa: F401
            figures,  # noqa: F401
            passwords,  # noqa: F401
            summary,  # noqa: F401
            tasks,
            welcome,  # noqa: F401
        )
        from por.notifications.actions import delivering, notifying

        delivering.wake.task = tasks.deliver
        history.around(notifying.gathered)
