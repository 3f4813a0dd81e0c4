"""The addresses of the API, of its document and of the page that explains it."""

from __future__ import annotations

from django.urls import include, path, re_path, register_converter
from django.urls.converters import UUIDConverter

from associations.attaching.api import activation, moving, record
from associations.change_requests import api as change_requests
from associations.claims.api import claims, conflicts, proofs, reviews
from associations.claims.api import endings as claim_endings
from associations.delegated_admin import api as delegated_admin
from associations.invitations import api as invitations
from associations.jobs import api as jobs
from associations.receipts import api as receipts
from associations.subscriptions.api import associations, subscriptions
from competencies.api import details as competency_details
from competencies.api import levels as competencies
from competencies.overrides import api as overrides
from por.accounts import api as accounts
from por.api import views
from por.directory import api as directory
from por.notifications import api as notifications
from por.portal import api as portal
from por.web.bounds import bounds_its_body


class GuidConverter(UUIDConverter):
    """A GUID in either case, as people paste it."""

    regex = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"


register_converter(GuidConverter, "guid")

v1 = [
    path("me/", accounts.Me.as_view(), name="me"),
    path("customers/", portal.CustomerList.as_view(), name="customers"),
    path("partners/", portal.PartnerList.as_view(), name="partners"),
    path("partners/move/", moving.Move.as_view(), name="partners_move"),
    path("partners/check/", directory.PartnerCheck.as_view(), name="partner_check"),
    path("subscriptions/", subscriptions.SubscriptionList.as_view(), name="subscriptions"),
    path("subscriptions/<guid:subscription_id>/", subscriptions.SubscriptionDetail.as_view(), name="subscription"),
    path(
        "subscriptions/<guid:subscription_id>/partner-of-record/",
        record.PartnerOfRecord.as_view(),
        name="partner_of_record",
    ),
    path("subscriptions/<guid:subscription_id>/partner-of-record/undo/", record.Undo.as_view(), name="undo"),
    path("subscriptions/<guid:subscription_id>/history/", subscriptions.History.as_view(), name="history"),
    path("subscriptions/<guid:subscription_id>/usage/", subscriptions.UsageList.as_view(), name="usage"),
    path("change-requests/", change_requests.ChangeRequestList.as_view(), name="change_requests"),
    path("change-requests/<int:request_id>/", change_requests.ChangeRequestDetail.as_view(), name="change_request"),
    path("change-requests/<int:request_id>/answer/", change_requests.Answer.as_view(), name="answer"),
    path("change-requests/<int:request_id>/statement/", change_requests.State.as_view(), name="statement"),
    path("subscriptions/<guid:subscription_id>/activate/", activation.Activate.as_view(), name="activate"),
    path("invitations/", invitations.InvitationList.as_view(), name="invitations"),
    path("invitations/<guid:invitation_id>/", invitations.InvitationDetail.as_view(), name="invitation"),
    path("invitations/<guid:invitation_id>/accept/", invitations.Accept.as_view(), name="accept"),
    path("invitations/<guid:invitation_id>/decline/", invitations.Decline.as_view(), name="decline"),
    path("invitations/<guid:invitation_id>/report/", invitations.ReportInvitation.as_view(), name="report"),
    path("invitations/<guid:invitation_id>/revoke/", invitations.Revoke.as_view(), name="revoke"),
    path("bulk/partner-of-record/", jobs.BulkAttach.as_view(), name="bulk"),
    path("bulk/removals/", jobs.BulkRemove.as_view(), name="bulk_removals"),
    path("bulk/answers/", jobs.BulkAnswer.as_view(), name="bulk_answers"),
    path("bulk/invitations/", jobs.BulkInvite.as_view(), name="bulk_invitations"),
    path("jobs/<int:job_id>/", jobs.JobDetail.as_view(), name="job"),
    path("claims/", claims.ClaimList.as_view(), name="claims"),
    path("claims/<int:claim_id>/", claims.ClaimDetail.as_view(), name="claim"),
    path("claims/<int:claim_id>/submit/", claims.Submit.as_view(), name="claim_submit"),
    path("claims/<int:claim_id>/withdraw/", claims.Withdraw.as_view(), name="claim_withdraw"),
    path("claims/<int:claim_id>/start-review/", reviews.StartReview.as_view(), name="claim_start_review"),
    path("claims/<int:claim_id>/ask/", reviews.Ask.as_view(), name="claim_ask"),
    path("claims/<int:claim_id>/approve/", reviews.Approve.as_view(), name="claim_approve"),
    path("claims/<int:claim_id>/reject/", reviews.Reject.as_view(), name="claim_reject"),
    path("claims/<int:claim_id>/decline/", claim_endings.Decline.as_view(), name="claim_decline"),
    path("claims/<int:claim_id>/disassociate/", claim_endings.Disassociate.as_view(), name="claim_disassociate"),
    path("claims/<int:claim_id>/dispute/", claim_endings.Dispute.as_view(), name="claim_dispute"),
    path("claims/<int:claim_id>/comments/", claims.Comments.as_view(), name="claim_comments"),
    path("associations/", associations.AssociationList.as_view(), name="associations"),
    path("associations/<int:association_id>/end/", delegated_admin.EndDelegatedAdmin.as_view(), name="end_association"),
    path("conflicts/", conflicts.ConflictList.as_view(), name="conflicts"),
    path("conflicts/<int:conflict_id>/", conflicts.ConflictDetail.as_view(), name="conflict"),
    path("conflicts/<int:conflict_id>/decide/", conflicts.Decide.as_view(), name="conflict_decide"),
    path("conflicts/<int:conflict_id>/ask-customer/", conflicts.AskCustomer.as_view(), name="conflict_ask_customer"),
    path("conflicts/<int:conflict_id>/ask-proof/", conflicts.AskProof.as_view(), name="conflict_ask_proof"),
    path("conflicts/<int:conflict_id>/answer/", conflicts.AnswerConflict.as_view(), name="conflict_answer"),
    path("claims/<int:claim_id>/proofs/", bounds_its_body(proofs.Proofs.as_view()), name="proofs"),
    path("claims/<int:claim_id>/proofs/<int:number>/", proofs.ProofDetail.as_view(), name="proof"),
    path("claims/<int:claim_id>/proofs/<int:number>/content/", proofs.ProofContent.as_view(), name="proof_content"),
    path("recomputations/", competencies.RoundList.as_view(), name="recomputations"),
    path("competencies/", competencies.CompetencyList.as_view(), name="competencies"),
    path("competencies/what-if/", competencies.WhatIfAnswer.as_view(), name="what_if"),
    path("competencies/people/", competency_details.PeopleList.as_view(), name="competency_people"),
    path("competencies/overrides/", overrides.OverrideList.as_view(), name="overrides"),
    path("competencies/overrides/<int:override_id>/", overrides.OverrideDetail.as_view(), name="override"),
    path("competencies/overrides/<int:override_id>/confirm/", overrides.Confirm.as_view(), name="override_confirm"),
    path("competencies/overrides/<int:override_id>/decline/", overrides.Decline.as_view(), name="override_decline"),
    path("competencies/overrides/<int:override_id>/withdraw/", overrides.Withdraw.as_view(), name="override_withdraw"),
    path("competencies/overrides/<int:override_id>/end/", overrides.End.as_view(), name="override_end"),
    path("competencies/<str:program>/", competencies.CompetencyDetail.as_view(), name="competency"),
    path(
        "competencies/<str:program>/window/",
        competency_details.CompetencyWindow.as_view(),
        name="competency_window",
    ),
    path(
        "competencies/<str:program>/closing/",
        competency_details.CompetencyClosing.as_view(),
        name="competency_closing",
    ),
    path(
        "competencies/<str:program>/tracks/",
        competency_details.CompetencyTracks.as_view(),
        name="competency_tracks",
    ),
    path("notifications/", notifications.NotificationList.as_view(), name="notifications"),
    path("notifications/<int:notification_id>/done/", notifications.Done.as_view(), name="notification_done"),
    path("notifications/<int:notification_id>/reopen/", notifications.Reopen.as_view(), name="notification_reopen"),
    path("receipts/<str:signed>/", receipts.Receipt.as_view(), name="receipt"),
    path("schema/", views.Schema.as_view(), name="schema"),
]

urlpatterns = [
    path("v1/", include((v1, "api"))),
    path("docs/", views.docs, name="api_docs"),
    re_path("", views.Nothing.as_view(), name="api_nothing"),
]
