from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NotificationsConfig(AppConfig):
    name = "por.notifications"
    verbose_name = _("Notifications")

    def ready(self) -> None:
        from por.history import actions as history
        from por.notifications import actions, tasks, welcome

        actions.wake.task = tasks.deliver
        history.on("member.added", welcome.welcome)
