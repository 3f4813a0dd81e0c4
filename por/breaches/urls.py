from __future__ import annotations

from django.urls import path

from por.breaches import views

app_name = "breaches"
urlpatterns = [
    path("csp-reports", views.report, name="report"),
    path("a/blocked/", views.breach_list, name="breach_list"),
]
