"""The addresses of the product, room by room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.urls import ResolverMatch, URLResolver, include, path
from django.urls.resolvers import RoutePattern

from por.ops import views as probes
from por.portal.views.metrics import metrics


class Addresses(URLResolver):
    """Addresses, of which those without parameters are looked for once: they lead to the same view each time."""

    def __init__(self, patterns: Sequence[Any]) -> None:
        super().__init__(RoutePattern(""), patterns)
        self.known: dict[str, ResolverMatch] = {}

    def resolve(self, path: str) -> ResolverMatch:
        match = self.known.get(path) or super().resolve(path)
        if match.route == path:
            self.known[path] = match
        return match


# The addresses that programs ask come first, because Django tries the patterns in this order.
addresses = [
    path("livez", probes.livez, name="livez"),
    path("readyz", probes.readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/", include("por.api_urls")),
    path("", include("por.accounts.urls")),
    path("", include("por.imports.urls")),
    path("", include("por.notifications.urls")),
    path("", include("por.breaches.urls")),
    path("", include("associations.urls")),
    path("", include("associations.claims.urls")),
    path("", include("competencies.urls")),
    path("", include("por.portal.urls")),
]
urlpatterns = [Addresses(addresses)]

handler400 = "por.portal.views.errors.not_understood"
handler500 = "por.portal.views.errors.failed"
