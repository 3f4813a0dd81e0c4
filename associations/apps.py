from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssociationsConfig(AppConfig):
    name = "associations"
    verbose_name = _("Associations")

    def ready(self) -> None:
        from associations import emails, tasks
        from associations.actions import bulk
        from associations.emails import changing, inviting, legacy, renewing
        from associations.estate import ASSOCIATIONS, settle, tell_of_changes
        from por.directory.estate.subscriptions import changed
        from por.estate import whole
        from por.history import actions as history

        bulk.wake.task = tasks.run_jobs
        for verb in emails.CHANGES:
            history.on(verb, emails.changed)
        history.on("partner_of_record.ended", emails.ended)
        history.on("partner_of_record.attached", inviting.attached)
        for handlers in (changing.HANDLERS, inviting.HANDLERS, legacy.HANDLERS, renewing.HANDLERS):
            for verb, handler in handlers.items():
                history.on(verb, handler)
        changed.append(tell_of_changes)
        whole.register(ASSOCIATIONS, last=settle)
