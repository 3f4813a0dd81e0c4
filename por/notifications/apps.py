from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "por.notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from por.history.actions import recording as history
        from por.notifications import figures, passwords, summary, tasks, welcome  # noqa: F401  # figures and the mail register themselves
        from por.notifications.actions import delivering, notifying

        delivering.wake.task = tasks.deliver
        history.around(notifying.gathered)
