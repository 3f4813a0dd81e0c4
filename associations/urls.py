from __future__ import annotations

from django.urls import path

from associations.views import (
    activating,
    bulk,
    changing,
    customer,
    gaps,
    invitations,
    kinds,
    partner,
    receipts,
    several,
    staff,
    transition,
    usage,
)

app_name = "associations"

SUBSCRIPTION = "c/subscriptions/<uuid:subscription_id>/"
QUESTION = "c/change-requests/<int:request_id>/"
INVITATION = "c/invitations/<uuid:invitation_id>/"

urlpatterns = [
    path("receipts/<str:signed>/", receipts.receipt, name="receipt"),
    path("what-counts/", kinds.what_counts_for_what, name="what_counts"),
    path("c/", customer.customer_home, name="customer_home"),
    path("c/subscriptions/", customer.subscription_list, name="subscription_list"),
    path("c/subscriptions/attach/", several.several_attach, name="several_attach"),
    path(SUBSCRIPTION, customer.subscription_detail, name="subscription_detail"),
    path(f"{SUBSCRIPTION}check/", customer.subscription_check, name="subscription_check"),
    path(f"{SUBSCRIPTION}attach/", customer.subscription_attach, name="subscription_attach"),
    path(f"{SUBSCRIPTION}remove/", customer.subscription_remove, name="subscription_remove"),
    path(f"{SUBSCRIPTION}undo/", customer.subscription_undo, name="subscription_undo"),
    path(f"{SUBSCRIPTION}history/", customer.subscription_history, name="subscription_history"),
    path(f"{SUBSCRIPTION}usage/", usage.subscription_usage, name="subscription_usage"),
    path("c/bulk/", bulk.bulk_attach, name="bulk"),
    path("c/bulk/<int:job_id>/", bulk.job_detail, name="job"),
    path("c/bulk/<int:job_id>/apply/", bulk.job_apply, name="job_apply"),
    path("c/change-requests/", changing.change_request_list, name="change_request_list"),
    path(QUESTION, changing.change_request, name="change_request"),
    path(f"{QUESTION}answer/", changing.change_request_answer, name="change_request_answer"),
    path(f"{QUESTION}forward/", changing.change_request_forward, name="change_request_forward"),
    path("c/invitations/", invitations.invitation_list, name="invitation_list"),
    path(INVITATION, invitations.invitation, name="invitation"),
    path(f"{INVITATION}opened/", invitations.invitation_opened, name="invitation_opened"),
    path(f"{INVITATION}accept/", invitations.invitation_accept, name="invitation_accept"),
    path(f"{INVITATION}decline/", invitations.invitation_decline, name="invitation_decline"),
    path(f"{INVITATION}report/", invitations.invitation_report, name="invitation_report"),
    path("c/usage/", usage.customer_usage, name="customer_usage"),
    path("c/history/", customer.customer_history, name="customer_history"),
    path("c/gaps/", gaps.customer_gaps, name="customer_gaps"),
    path("c/partners/", customer.customer_partners, name="customer_partners"),
    path("p/", partner.partner_home, name="partner_home"),
    path("p/customers/", partner.partner_customer_list, name="partner_customer_list"),
    path("p/customers/<uuid:tenant_id>/", partner.partner_customer_detail, name="partner_customer_detail"),
    path("p/subscriptions/", partner.partner_subscription_list, name="partner_subscription_list"),
    path(
        "p/subscriptions/<uuid:subscription_id>/",
        partner.partner_subscription_detail,
        name="partner_subscription_detail",
    ),
    path(
        "p/subscriptions/<uuid:subscription_id>/usage/",
        usage.partner_subscription_usage,
        name="partner_subscription_usage",
    ),
    path("p/change-requests/", changing.partner_change_request_list, name="partner_change_request_list"),
    path("p/change-requests/<int:request_id>/", changing.partner_change_request, name="partner_change_request"),
    path(
        "p/change-requests/<int:request_id>/statement/",
        changing.partner_change_request_state,
        name="partner_change_request_state",
    ),
    path("p/invitations/", invitations.partner_invitation_list, name="partner_invitation_list"),
    path("p/invitations/new/", invitations.invite, name="invite"),
    path("p/invitations/<uuid:invitation_id>/", invitations.partner_invitation, name="partner_invitation"),
    path(
        "p/invitations/<uuid:invitation_id>/revoke/",
        invitations.partner_invitation_revoke,
        name="partner_invitation_revoke",
    ),
    path("p/activate/", activating.activate, name="activate"),
    path("p/usage/", usage.partner_usage, name="partner_usage"),
    path("p/gaps/", gaps.partner_gaps, name="partner_gaps"),
    path("p/transition/", transition.partner_transition, name="partner_transition"),
    path("p/history/", partner.partner_history, name="partner_history"),
    path("a/", staff.staff_home, name="staff_home"),
    path("a/partners/", staff.staff_partner_list, name="staff_partner_list"),
    path("a/partners/<str:mpn_id>/", staff.staff_partner_detail, name="staff_partner_detail"),
    path("a/history/", staff.event_list, name="events"),
    path("a/history/<int:event_id>/", staff.event_detail, name="event"),
]
