from __future__ import annotations

from django.urls import path

from por.imports import views

app_name = "estate"
urlpatterns = [
    path("a/loads/", views.import_list, name="load_list"),
    path("a/loads/<int:import_id>/", views.import_detail, name="load_detail"),
    path("a/loads/<int:import_id>/load/", views.import_tried, name="load_tried"),
    path("a/loads/<int:import_id>/cancel/", views.import_cancel, name="load_cancel"),
]
