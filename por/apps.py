from django.apps import AppConfig


class PorConfig(AppConfig):
    """The ground the rooms stand on: template tags and commands."""

    name = "por"
    verbose_name = "Partner of Record"
