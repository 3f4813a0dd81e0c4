"""The addresses of the homes, histories, usage pages and pages for staff."""

from __future__ import annotations

from django.urls import path

from por.portal.views import customer, finding, history, partner, staff, usage

app_name = "portal"

urlpatterns = [
    path("c/", customer.customer_home, name="customer_home"),
    path("c/subscriptions/<uuid:subscription_id>/usage/", usage.subscription_usage, name="subscription_usage"),
    path("c/usage/", usage.customer_usage, name="customer_usage"),
    path("c/history/", history.customer_history, name="customer_history"),
    path("c/partners/", customer.customer_partners, name="customer_partners"),
    path("p/", partner.partner_home, name="partner_home"),
    path("p/locations/", partner.partner_location_list, name="partner_location_list"),
    path("p/customers/", partner.partner_customer_list, name="partner_customer_list"),
    path("p/customers/<uuid:tenant_id>/", partner.partner_customer_detail, name="partner_customer_detail"),
    path(
        "p/subscriptions/<uuid:subscription_id>/usage/",
        usage.partner_subscription_usage,
        name="partner_subscription_usage",
    ),
    path("p/usage/", usage.partner_usage, name="partner_usage"),
    path("p/history/", history.partner_history, name="partner_history"),
    path("a/", staff.staff_home, name="staff_home"),
    path("a/find/", finding.find, name="find"),
    path("a/customers/", staff.staff_customer_list, name="staff_customer_list"),
    path("a/customers/<uuid:tenant_id>/", staff.staff_customer_detail, name="staff_customer_detail"),
    path("a/partners/", staff.staff_partner_list, name="staff_partner_list"),
    path("a/partners/<str:mpn_id>/", staff.staff_partner_detail, name="staff_partner_detail"),
    path("a/history/", history.event_list, name="events"),
    path("a/history/<int:event_id>/", history.event_detail, name="event"),
]
