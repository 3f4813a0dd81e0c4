from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AssociationsConfig(AppConfig):
    name = "associations"
    verbose_name = _("Associations")

    def ready(self) -> None:
        # Importing the events of a feature registers them.
        from associations import tasks
        from associations.attaching import events, moving_events, start_events  # noqa: F401
        from associations.change_requests import answer_events  # noqa: F401
        from associations.delegated_admin import events as delegated_admin_events  # noqa: F401
        from associations.imports import (
            ASSOCIATIONS,
            collisions_with_record,
            record_changes,
            settle,
            told_of_names,
            uses_of,
        )
        from associations.invitations import events as invitation_events  # noqa: F401
        from associations.jobs.actions import bulk  # its event registers itself
        from associations.legacy_forms import events as legacy_form_events  # noqa: F401
        from associations.moves import record_moves
        from associations.record import figures  # noqa: F401  # they register themselves
        from associations.renewals import events as renewal_events  # noqa: F401
        from por.directory.imports import changes
        from por.directory.imports.corrections import correction_checks
        from por.directory.imports.moves import move_listeners
        from por.directory.imports.organisations import use_checks
        from por.directory.imports.subscriptions import change_listeners
        from por.imports import whole

        bulk.wake.task = tasks.run_jobs
        change_listeners.append(record_changes)
        correction_checks.append(collisions_with_record)
        use_checks.append(uses_of)
        move_listeners.append(record_moves)
        changes.told_of_names.append(told_of_names)
        whole.register(ASSOCIATIONS, last=settle)
