from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DirectoryConfig(AppConfig):
    name = "por.directory"
    verbose_name = _("Directory")

    def ready(self) -> None:
        from por.directory.estate import FILES
        from por.estate import whole

        whole.register(*FILES)
