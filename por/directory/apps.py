"""The directory: partners, customers, subscriptions and usage."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DirectoryConfig(AppConfig):
    name = "por.directory"
    verbose_name = _("Directory")

    def ready(self) -> None:
        from por.directory import events  # noqa: F401  # importing them registers them
        from por.directory.imports.files import FILES
        from por.imports import whole

        whole.register(*FILES)
