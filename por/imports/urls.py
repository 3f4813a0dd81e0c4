from __future__ import annotations

from django.urls import path

from por.imports import views

app_name = "estate"
urlpatterns = [
    path("a/loads/", views.load_list, name="load_list"),
    path("a/loads/<int:load_id>/", views.load_detail, name="load_detail"),
    path("a/loads/<int:load_id>/load/", views.load_tried, name="load_tried"),
    path("a/loads/<int:load_id>/cancel/", views.load_cancel, name="load_cancel"),
]
