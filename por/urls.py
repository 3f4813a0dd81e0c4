"""The addresses of the product, room by room."""

from __future__ import annotations

from django.urls import include, path

from por.ops import views as probes
from por.portal.views.metrics import metrics

# The addresses that programs ask come first, because Django tries the patterns in this order.
urlpatterns = [
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

handler400 = "por.portal.views.errors.not_understood"
handler500 = "por.portal.views.errors.failed"
