from __future__ import annotations

from django.urls import path

from associations.attaching.views import activation, moving, several
from associations.change_requests import views as change_requests
from associations.delegated_admin import views as delegated_admin
from associations.gaps import views as gaps
from associations.invitations import views as invitations
from associations.jobs import views as jobs
from associations.kinds import views as kinds
from associations.legacy_forms import views as legacy_forms
from associations.receipts import views as receipts
from associations.subscriptions.views import customer, partner, staff

app_name = "associations"

SUBSCRIPTION = "c/subscriptions/<uuid:subscription_id>/"
CHANGE_REQUEST = "c/change-requests/<int:request_id>/"
INVITATION = "c/invitations/<uuid:invitation_id>/"
ADMINISTRATOR = "c/delegated-administrators/<int:association_id>/"

urlpatterns = [
    path("receipts/<str:signed>/", receipts.receipt, name="receipt"),
    path("what-counts/", kinds.what_counts_for_what, name="what_counts"),
    path("c/subscriptions/", customer.subscription_list, name="subscription_list"),
    path("c/subscriptions/attach/", several.several_attach, name="several_attach"),
    path(SUBSCRIPTION, customer.subscription_detail, name="subscription_detail"),
    path(f"{SUBSCRIPTION}check/", customer.subscription_check, name="subscription_check"),
    path(f"{SUBSCRIPTION}attach/", customer.subscription_attach, name="subscription_attach"),
    path(f"{SUBSCRIPTION}start/", customer.subscription_start, name="subscription_start"),
    path(f"{SUBSCRIPTION}remove/", customer.subscription_remove, name="subscription_remove"),
    path(f"{SUBSCRIPTION}undo/", customer.subscription_undo, name="subscription_undo"),
    path(f"{SUBSCRIPTION}history/", customer.subscription_history, name="subscription_history"),
    path("c/bulk/", jobs.bulk_attach, name="bulk"),
    path("c/bulk/<int:job_id>/", jobs.job_detail, name="job"),
    path("c/bulk/<int:job_id>/apply/", jobs.job_apply, name="job_apply"),
    path("c/change-requests/", change_requests.change_request_list, name="change_request_list"),
    path(CHANGE_REQUEST, change_requests.change_request, name="change_request"),
    path(f"{CHANGE_REQUEST}answer/", change_requests.change_request_answer, name="change_request_answer"),
    path(f"{CHANGE_REQUEST}forward/", change_requests.change_request_forward, name="change_request_forward"),
    path("c/invitations/", invitations.invitation_list, name="invitation_list"),
    path(INVITATION, invitations.invitation, name="invitation"),
    path(f"{INVITATION}opened/", invitations.invitation_opened, name="invitation_opened"),
    path(f"{INVITATION}accept/", invitations.invitation_accept, name="invitation_accept"),
    path(f"{INVITATION}decline/", invitations.invitation_decline, name="invitation_decline"),
    path(f"{INVITATION}report/", invitations.invitation_report, name="invitation_report"),
    path(ADMINISTRATOR, delegated_admin.delegated_admin, name="delegated_admin"),
    path(f"{ADMINISTRATOR}end/", delegated_admin.delegated_admin_end, name="delegated_admin_end"),
    path("c/gaps/", gaps.customer_gaps, name="customer_gaps"),
    path("p/subscriptions/", partner.partner_subscription_list, name="partner_subscription_list"),
    path("p/subscriptions/selected/", partner.partner_subscription_selected, name="partner_subscription_selected"),
    path(
        "p/subscriptions/<uuid:subscription_id>/",
        partner.partner_subscription_detail,
        name="partner_subscription_detail",
    ),
    path(
        "p/subscriptions/<uuid:subscription_id>/resign/",
        partner.partner_subscription_resign,
        name="partner_subscription_resign",
    ),
    path("p/change-requests/", change_requests.partner_change_request_list, name="partner_change_request_list"),
    path("p/change-requests/<int:request_id>/", change_requests.partner_change_request, name="partner_change_request"),
    path(
        "p/change-requests/<int:request_id>/statement/",
        change_requests.partner_change_request_state,
        name="partner_change_request_state",
    ),
    path("p/invitations/", invitations.partner_invitation_list, name="partner_invitation_list"),
    path("p/invitations/new/", invitations.invite, name="invite"),
    path("p/invitations/many/", jobs.invite_many, name="invite_many"),
    path("p/invitations/many/<int:job_id>/", jobs.partner_job, name="partner_job"),
    path("p/invitations/many/<int:job_id>/apply/", jobs.partner_job_apply, name="partner_job_apply"),
    path("p/invitations/<uuid:invitation_id>/", invitations.partner_invitation, name="partner_invitation"),
    path(
        "p/invitations/<uuid:invitation_id>/revoke/",
        invitations.partner_invitation_revoke,
        name="partner_invitation_revoke",
    ),
    path("p/move/", moving.move_locations, name="move_locations"),
    path("p/activate/", activation.activate, name="activate"),
    path("p/gaps/", gaps.partner_gaps, name="partner_gaps"),
    path("p/transition/", legacy_forms.partner_transition, name="partner_transition"),
    path("a/subscriptions/", staff.staff_subscription_list, name="staff_subscription_list"),
    path(
        "a/subscriptions/<uuid:subscription_id>/",
        staff.staff_subscription_detail,
        name="staff_subscription_detail",
    ),
    path("a/gaps/", gaps.staff_gaps, name="staff_gaps"),
    path("a/change-requests/", change_requests.staff_change_request_list, name="staff_change_request_list"),
    path("a/change-requests/<int:request_id>/", change_requests.staff_change_request, name="staff_change_request"),
]
