from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClaimsConfig(AppConfig):
    name = "associations.claims"
    verbose_name = _("Claims")

    def ready(self) -> None:
        # Importing events and figures registers them, and a wrong file of rules stops the start.
        from associations.claims import figures, policies, programs, tasks  # noqa: F401
        from associations.claims.actions import proofs as proof_actions
        from associations.claims.actions.migrated import remind_of_proofs
        from associations.claims.actions.outside import settle, uses_of
        from associations.claims.actions.scheduled import run_due
        from associations.claims.events import (  # noqa: F401
            claims,
            comments,
            conflicts,
            deciding,
            endings,
            imports,
            migrated,
            proofs,
            reviews,
        )
        from associations.claims.imports.files import CLAIMS
        from associations.tasks import also_due
        from por.directory.imports.organisations import use_checks
        from por.imports import whole

        proof_actions.wake.task = tasks.examine_proofs
        also_due.extend([run_due, remind_of_proofs])
        use_checks.append(uses_of)
        whole.register(CLAIMS, last=settle)
