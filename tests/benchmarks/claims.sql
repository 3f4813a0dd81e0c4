-- Claims of osu_m365 on the workloads of the customers that are there: %(count)s of them, as the verbs leave them.
-- Each workload of a customer has one claim that goes on, one in fifty has two that contend for it, and the rest is over.
SELECT setseed(0.5);

CREATE TEMP TABLE place AS
SELECT row_number() OVER (ORDER BY random()) - 1 AS n, customer.organisation_id AS customer, workload, customer.domain
  FROM directory_customer AS customer,
       unnest(ARRAY['exo', 'spo', 'teams', 'yammer', 'proplus', 'intune', 'aadp', 'aip']) AS workload
 WHERE NOT EXISTS (SELECT FROM claims_claimunit AS unit WHERE unit.customer_id = customer.organisation_id);

CREATE TEMP TABLE company AS
SELECT row_number() OVER (ORDER BY random()) - 1 AS n, partner.organisation_id AS partner,
       coalesce(organisation.parent_id, organisation.id) AS company
  FROM directory_partner AS partner JOIN accounts_organisation AS organisation ON organisation.id = partner.organisation_id
 WHERE partner.kind = 'location' AND partner.status = 'active';

-- The largest partner has some sixth of all claims.
CREATE TEMP TABLE plan AS
SELECT nextval(pg_get_serial_sequence('claims_claim', 'id')) AS id, place.*, turn,
       floor((SELECT count(*) FROM company) * power(random(), 4))::int AS choice,
       now() - interval '1500 days' * (1 - made / %(count)s::float) AS at, '' AS status
  FROM generate_series(0, %(count)s - 1) AS made
  CROSS JOIN LATERAL (SELECT made / (SELECT count(*) FROM place) AS turn) AS turns
  JOIN place ON place.n = made %% (SELECT count(*) FROM place)
 ORDER BY made;
CREATE INDEX ON plan (n, turn);
ANALYZE plan, company;
UPDATE plan SET choice = (
    SELECT other.n FROM plan AS first JOIN company AS own ON own.n = first.choice
      JOIN company AS other ON other.company <> own.company
     WHERE first.n = plan.n AND first.turn = 0
     ORDER BY (other.n - own.n + (SELECT count(*) FROM company)) %% (SELECT count(*) FROM company) LIMIT 1)
 WHERE turn = 1 AND n %% 50 = 0;
UPDATE plan SET status = CASE
    WHEN turn = 1 AND n %% 50 = 0 THEN (ARRAY['submitted', 'under_review'])[1 + n / 50 %% 2]
    WHEN turn > 0 THEN (ARRAY['ended', 'ended', 'withdrawn', 'withdrawn', 'rejected_final', 'rejected'])[1 + id %% 6]
    WHEN n %% 50 = 0 OR n %% 100 < 70 THEN 'approved'
    ELSE (ARRAY['submitted', 'under_review', 'action_required', 'disputed', 'draft'])[1 + n %% 5] END;

INSERT INTO claims_claim (id, number, name, program, role, customer_id, partner_id, company_id, domain,
    customer_contact_name, customer_contact_title, customer_contact_email, partner_contact_name, partner_contact_email,
    opt_out_of_payment, seller, solution, checked, origin, status, consent, end_reason, created_at, submitted_at, due_at,
    approved_at, consent_due_at, closed_at, reminders, disputes, version)
SELECT plan.id, CASE WHEN status = 'draft' THEN '' ELSE 'CPR-' || lpad(plan.id::text, 7, '0') END,
    initcap(workload) || ' for ' || split_part(plan.domain, '.', 1), 'osu_m365', 'usage', customer, partner, company,
    plan.domain, 'Karin Lund', 'Head of IT', 'karin@' || plan.domain, 'Amira Haddad', 'amira@partner.example', false, '', '',
    '{no_proof,no_acknowledgement,dates,no_description,no_products}', 'wizard', status,
    CASE WHEN status NOT IN ('approved', 'ended') THEN '' WHEN status = 'approved' AND plan.id %% 30 = 0 THEN 'pending'
        ELSE 'lapsed' END,
    CASE status WHEN 'ended' THEN 'disassociated' ELSE '' END, at,
    CASE WHEN status <> 'draft' THEN at + interval '1 hour' END,
    CASE WHEN status IN ('submitted', 'under_review', 'action_required', 'disputed', 'rejected')
        THEN now() + interval '20 days' * (random() - 0.2) END,
    CASE WHEN status IN ('approved', 'ended') THEN at + interval '2 days' END,
    CASE WHEN status IN ('approved', 'ended') THEN
        CASE WHEN plan.id %% 30 = 0 AND status = 'approved' THEN now() + interval '20 days' ELSE at + interval '9 days' END END,
    CASE WHEN status IN ('ended', 'withdrawn', 'rejected_final', 'rejected') THEN at + interval '20 days' END, 0, 0, 4
  FROM plan JOIN company ON company.n = choice;

CREATE TEMP TABLE held AS
SELECT nextval(pg_get_serial_sequence('associations_association', 'id')) AS id, plan.id AS claim,
       CASE status WHEN 'ended' THEN timestamptz '2015-01-01' + interval '200 days' * turn ELSE at + interval '2 days' END AS began
  FROM plan WHERE status IN ('approved', 'ended');
INSERT INTO associations_association (id, kind, program, role, workload, claim_number, customer_id, partner_id, began_at,
    ended_at, attached_at, source, end_reason, note, end_note)
SELECT held.id, 'cpor', program, role, plan.workload, number, customer_id, partner_id, began,
    CASE claim.status WHEN 'ended' THEN began + interval '100 days' END, began, 'claim', end_reason, '', ''
  FROM held JOIN claims_claim AS claim ON claim.id = held.claim JOIN plan ON plan.id = claim.id;

INSERT INTO claims_claimunit (claim_id, program, role, company_id, customer_id, workload, live, outcome, association_id)
SELECT claim.id, program, role, company_id, customer_id, plan.workload,
    claim.status IN ('submitted', 'under_review', 'action_required', 'disputed', 'approved'),
    CASE claim.status WHEN 'approved' THEN 'held' WHEN 'ended' THEN 'ended' ELSE '' END, held.id
  FROM claims_claim AS claim JOIN plan ON plan.id = claim.id LEFT JOIN held ON held.claim = claim.id;

INSERT INTO claims_claimstep (claim_id, verb, before, after, at, by_name, reasons, note, changes)
SELECT claim.id, verb, '', after, coalesce(submitted_at, at) + interval '1 hour' * place, 'Amira Haddad', '{}', '', '{}'
  FROM claims_claim AS claim JOIN plan ON plan.id = claim.id,
       LATERAL (VALUES ('submit', 'submitted', 0), ('start review', 'under_review', 1), ('approve', claim.status, 2))
       AS step (verb, after, place)
 WHERE submitted_at IS NOT NULL;

INSERT INTO claims_proof (claim_id, number, filename, content_type, size, sha256, stored_as, acknowledged_on, description,
    uploaded_by_name, uploaded_at, scan, pages, preview)
SELECT claim.id, number_of, 'statement-of-work.pdf', 'application/pdf', 48213,
    md5(claim.id::text) || md5(number_of::text), 'proofs/bench-' || claim.id || '-' || number_of, at::date, '',
    'Amira Haddad', at + interval '30 minutes' * number_of, CASE WHEN claim.id %% 50 = 0 THEN 'pending' ELSE 'clean' END, 2, 'drawn'
  FROM claims_claim AS claim JOIN plan ON plan.id = claim.id, generate_series(1, 1 + (claim.id %% 2)::int) AS number_of;
INSERT INTO claims_proofunit (proof_id, unit_id)
SELECT proof.id, unit.id FROM claims_proof AS proof JOIN claims_claimunit AS unit ON unit.claim_id = proof.claim_id
 WHERE proof.stored_as LIKE 'proofs/bench-%%';

CREATE TEMP TABLE contest AS
SELECT nextval(pg_get_serial_sequence('claims_conflict', 'id')) AS id, n FROM plan WHERE turn = 1 AND n %% 50 = 0;
INSERT INTO claims_conflict (id, program, role, customer_id, workload, status, opened_at, due_at, note, version)
SELECT contest.id, 'osu_m365', 'usage', customer, workload, 'open', at, now() + interval '10 days' * random(), '', 1
  FROM contest JOIN plan ON plan.n = contest.n AND turn = 1;
INSERT INTO claims_conflictside (conflict_id, claim_id, joined_at, held_before, missing)
SELECT contest.id, plan.id, at, turn = 0, '{}' FROM contest JOIN plan ON plan.n = contest.n AND turn < 2;
ANALYZE;
