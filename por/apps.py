from django.apps import AppConfig


class PorConfig(AppConfig):
    """The app of what all rooms share: commands and checks."""

    name = "por"
    verbose_name = "Partner of Record"

    def ready(self) -> None:
        from por.ops import checks  # noqa: F401  # they register themselves
