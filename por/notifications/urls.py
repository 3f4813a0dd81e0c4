from __future__ import annotations

from django.urls import path

from por.notifications import views

app_name = "notifications"
urlpatterns = [
    path("me/mail/", views.preferences, name="preferences"),
    path("a/mail/", views.sink_list, name="sink_list"),
    path("a/mail/<str:key>/", views.sink_detail, name="sink_detail"),
]
