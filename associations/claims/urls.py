from __future__ import annotations

from django.urls import path

from associations.claims.views import conflicts, customer, endings, help, partner, proofs, several_proofs, staff, wizard

app_name = "claims"

urlpatterns = [
    path("how-claims-work/", help.how_claims_work, name="how"),
    path("c/claims/", customer.customer_claim_list, name="customer_claim_list"),
    path("c/claims/<int:claim_id>/", customer.customer_claim, name="customer_claim"),
    path("a/claims/", staff.review_list, name="review_list"),
    path("a/claims/next/", staff.review_next, name="review_next"),
    path("a/claims/<int:claim_id>/", staff.review_claim, name="review_claim"),
    path("a/claims/<int:claim_id>/start/", staff.review_start, name="review_start"),
    path("a/claims/<int:claim_id>/decide/", staff.review_decide, name="review_decide"),
    path("a/claims/<int:claim_id>/assign/", staff.review_assign, name="review_assign"),
    path("a/claims/<int:claim_id>/comment/", staff.review_comment, name="review_comment"),
    path("a/interests/", staff.interest_list, name="interest_list"),
    path("a/interests/<int:interest_id>/remove/", staff.interest_remove, name="interest_remove"),
    path("c/claims/<int:claim_id>/decline/", endings.claim_decline, name="claim_decline"),
    path("p/claims/<int:claim_id>/disassociate/", endings.claim_disassociate, name="claim_disassociate"),
    path("p/claims/<int:claim_id>/dispute/", endings.claim_dispute, name="claim_dispute"),
    path("p/claims/<int:claim_id>/again/", endings.claim_again, name="claim_again"),
    path("a/claims/end/", endings.claim_end, name="claim_end"),
    path("p/claims/proofs/", several_proofs.several_proofs, name="several_proofs"),
    path("p/claims/<int:claim_id>/proofs/", proofs.proofs, name="proofs"),
    path("p/claims/<int:claim_id>/proofs/checklist/", proofs.check, name="checklist"),
    path("p/claims/<int:claim_id>/proofs/form.<str:ending>", proofs.proof_form, name="proof_form"),
    path("p/claims/<int:claim_id>/proofs/<int:number>/", proofs.proof, name="proof"),
    path("p/claims/<int:claim_id>/proofs/<int:number>/download/", proofs.proof_download, name="proof_download"),
    path("p/claims/<int:claim_id>/proofs/<int:number>/pages/<int:sheet>/", proofs.proof_page, name="proof_page"),
    path("a/claims/<int:claim_id>/proofs/", proofs.review_proofs, name="review_proofs"),
    path("a/claims/<int:claim_id>/proofs/<int:number>/", proofs.review_proof, name="review_proof"),
    path(
        "a/claims/<int:claim_id>/proofs/<int:number>/download/",
        proofs.review_proof_download,
        name="review_proof_download",
    ),
    path(
        "a/claims/<int:claim_id>/proofs/<int:number>/pages/<int:sheet>/",
        proofs.review_proof_page,
        name="review_proof_page",
    ),
    path("files/<str:signed>/", proofs.file, name="file"),
    path("c/conflicts/", conflicts.customer_conflict_list, name="customer_conflict_list"),
    path("c/conflicts/<int:conflict_id>/", conflicts.customer_conflict, name="customer_conflict"),
    path("c/conflicts/<int:conflict_id>/answer/", conflicts.customer_conflict_answer, name="customer_conflict_answer"),
    path("p/conflicts/", conflicts.conflict_list, name="conflict_list"),
    path("p/conflicts/<int:conflict_id>/", conflicts.conflict, name="conflict"),
    path("a/conflicts/", conflicts.review_conflict_list, name="review_conflict_list"),
    path("a/conflicts/<int:conflict_id>/", conflicts.review_conflict, name="review_conflict"),
    path("a/conflicts/<int:conflict_id>/decide/", conflicts.review_conflict_decide, name="review_conflict_decide"),
    path(
        "a/conflicts/<int:conflict_id>/ask-customer/",
        conflicts.review_conflict_ask_customer,
        name="review_conflict_ask_customer",
    ),
    path(
        "a/conflicts/<int:conflict_id>/ask-proof/",
        conflicts.review_conflict_ask_proof,
        name="review_conflict_ask_proof",
    ),
    path("p/claims/", partner.partner_claim_list, name="claim_list"),
    path("p/claims/new/", wizard.claim_new, name="claim_new"),
    path("p/claims/<int:claim_id>/", partner.partner_claim, name="claim"),
    path("p/claims/<int:claim_id>/edit/<str:page>/", wizard.claim_edit, name="claim_edit"),
    path("p/claims/<int:claim_id>/comment/", partner.partner_claim_comment, name="claim_comment"),
    path("p/claims/<int:claim_id>/withdraw/", partner.partner_claim_withdraw, name="claim_withdraw"),
]
