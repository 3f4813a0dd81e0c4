"""The addresses of competencies."""

from __future__ import annotations

from django.urls import path

from competencies import views
from competencies.overrides import urls as overrides

app_name = "competencies"
urlpatterns = [
    path("how-competencies-work/", views.how_competencies_work, name="how"),
    path("programmes/", views.programme_list, name="programme_list"),
    path("programmes/<str:program>/", views.programme, name="programme"),
    path("p/competencies/", views.partner_competencies, name="partner_competencies"),
    path("p/competencies/what-if/", views.partner_what_if, name="partner_what_if"),
    path("p/help/retroactive/", views.retroactive, name="retroactive"),
    path("p/competencies/people/", views.partner_people, name="partner_people"),
    path("p/competencies/<str:program>/", views.partner_competency, name="partner_competency"),
    path("a/recomputations/", views.round_list, name="round_list"),
    path("a/partners/<str:mpn_id>/competencies/", views.staff_competencies, name="staff_competencies"),
    path("a/partners/<str:mpn_id>/competencies/people/", views.staff_people, name="staff_people"),
    *overrides.urlpatterns,
]
