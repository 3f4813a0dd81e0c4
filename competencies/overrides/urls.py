"""The addresses of overrides, among those of competencies."""

from __future__ import annotations

from django.urls import path

from competencies.overrides import views

COMPETENCY = "a/partners/<str:mpn_id>/competencies/<str:program>/"
urlpatterns = [
    path(COMPETENCY, views.staff_competency, name="staff_competency"),
    path(f"{COMPETENCY}override/ask/", views.override_ask, name="override_ask"),
    path(f"{COMPETENCY}override/decide/", views.override_decide, name="override_decide"),
    path(f"{COMPETENCY}override/withdraw/", views.override_withdraw, name="override_withdraw"),
    path(f"{COMPETENCY}override/end/", views.override_end, name="override_end"),
    path("a/overrides/", views.override_list, name="override_list"),
]
