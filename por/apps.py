import logging

from django.apps import AppConfig


class PorConfig(AppConfig):
    """The app of what all rooms share: commands and checks."""

    name = "por"
    verbose_name = "Partner of Record"

    def ready(self) -> None:
        logging.captureWarnings(True)  # they are lines of the log, such as Celery's to a worker that runs as root
        # The checks register themselves. Every process wakes workers, so each needs the Celery application.
        from por import celery  # noqa: F401
        from por.ops import checks  # noqa: F401
