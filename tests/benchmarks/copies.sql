-- Copies of the estate that is there, %(copies)s of them: each has its own customers, partners, subscriptions and figures.
-- The company with most associations is one and the same in all copies, so it stays as large a share of the whole.
-- The copies have neither people nor history nor claims; what was claimed is copied as associations.
SET session_replication_role = replica; -- the copies refer to copies, and the months are noted already

CREATE TEMP TABLE copy AS SELECT generate_series(1, %(copies)s) AS n;
CREATE TEMP TABLE stride AS -- the keys of a copy are those of its source, so much higher
SELECT (SELECT max(id) FROM accounts_organisation) AS organisations, (SELECT max(id) FROM directory_subscription) AS subscriptions,
       (SELECT max(id) FROM associations_association) AS associations, (SELECT max(id) FROM directory_credential) AS credentials,
       (SELECT max(id) FROM competencies_holding) AS holdings;
-- What of the directory is copied: all but staff and the largest company with its locations.
CREATE TEMP TABLE source AS
WITH largest AS (
    SELECT coalesce(partner.parent_id, partner.id) AS id FROM associations_association AS one
      JOIN accounts_organisation AS partner ON partner.id = one.partner_id GROUP BY 1 ORDER BY count(*) DESC LIMIT 1
)
SELECT id FROM accounts_organisation
 WHERE kind <> 'staff' AND id NOT IN (SELECT id FROM largest) AND parent_id IS DISTINCT FROM (SELECT id FROM largest);
CREATE UNIQUE INDEX ON source (id);
ANALYZE copy, stride, source;

INSERT INTO accounts_organisation (id, kind, name, number, contact_email, language, parent_id, time_zone)
SELECT one.id + n * stride.organisations, kind, name || ' ' || n,
    CASE kind WHEN 'customer' THEN md5(number || '/' || n)::uuid::text ELSE (number::bigint + n * 10000000)::text END,
    '', language, parent_id + n * stride.organisations, time_zone
  FROM copy, stride, accounts_organisation AS one JOIN source USING (id);

INSERT INTO directory_customer (organisation_id, tenant_id, domain, country, segment)
SELECT organisation_id + n * stride.organisations, md5(tenant_id::text || '/' || n)::uuid, n || '.' || domain, country, segment
  FROM copy, stride, directory_customer;

INSERT INTO directory_partner (organisation_id, mpn_id, kind, city, country, market, status, own_tenant_id)
SELECT organisation_id + n * stride.organisations, (mpn_id::bigint + n * 10000000)::text, kind, city, country, market, status,
    CASE WHEN own_tenant_id IS NOT NULL THEN md5(own_tenant_id::text || '/' || n)::uuid END
  FROM copy, stride, directory_partner JOIN source ON source.id = organisation_id;

INSERT INTO directory_credential (id, person, credential, valid_from, valid_to, partner_id)
SELECT one.id + n * stride.credentials, person || ' ' || n, credential, valid_from, valid_to,
    partner_id + n * stride.organisations
  FROM copy, stride, directory_credential AS one JOIN source ON source.id = partner_id;

INSERT INTO competencies_holding (id, program, level, anniversary_on, fee_paid_on, partner_id)
SELECT one.id + n * stride.holdings, program, level, anniversary_on, fee_paid_on, partner_id + n * stride.organisations
  FROM copy, stride, competencies_holding AS one JOIN source ON source.id = partner_id;

INSERT INTO directory_subscription (id, subscription_id, product, agreement, seats, is_trial, started_on, renews_on, status,
    version, customer_id, replaces_id, sku_id, missing_since, came_at, left_at)
SELECT one.id + n * stride.subscriptions, md5(subscription_id::text || '/' || n)::uuid, product, agreement, seats, is_trial,
    started_on, renews_on, status, version, customer_id + n * stride.organisations, replaces_id + n * stride.subscriptions,
    sku_id, missing_since, came_at, left_at
  FROM copy, stride, directory_subscription AS one ORDER BY 1;

INSERT INTO associations_association (id, kind, began_at, ended_at, attached_at, undone_at, reopened_at, source, end_reason,
    note, end_note, customer_id, partner_id, subscription_id, renews_on_at_end, seats_at_end, status_at_end,
    version_at_end, end_inferred, ends_on, began_at_before, redated_at, program, role, workload, claim_number)
SELECT one.id + n * stride.associations, kind, began_at, ended_at, attached_at, undone_at, reopened_at, source, end_reason,
    note, end_note, customer_id + n * stride.organisations,
    CASE WHEN source_id IS NULL THEN partner_id ELSE partner_id + n * stride.organisations END,
    subscription_id + n * stride.subscriptions, renews_on_at_end, seats_at_end, status_at_end, version_at_end, end_inferred,
    ends_on, began_at_before, redated_at, program, role, workload, claim_number
  FROM copy, stride, associations_association AS one
  LEFT JOIN (SELECT id AS source_id FROM source) AS copied ON source_id = partner_id
 ORDER BY 1;

INSERT INTO directory_usage (subscription_id, month, workload, revision, paid_units, active_users, consumed_usd, known_from,
    superseded_at)
SELECT subscription_id + n * stride.subscriptions, month, workload, revision, paid_units, active_users, consumed_usd,
    known_from, superseded_at
  FROM copy, stride, directory_usage ORDER BY 1, 2, 3, 4;

INSERT INTO directory_revenue (subscription_id, month, kind, revision, amount, currency, known_from, superseded_at)
SELECT subscription_id + n * stride.subscriptions, month, kind, revision, amount, currency, known_from, superseded_at
  FROM copy, stride, directory_revenue ORDER BY 1, 2, 3, 4;

INSERT INTO directory_consumption (subscription_id, month, service, revision, amount_usd, known_from, superseded_at)
SELECT subscription_id + n * stride.subscriptions, month, service, revision, amount_usd, known_from, superseded_at
  FROM copy, stride, directory_consumption ORDER BY 1, 2, 3, 4;

SELECT setval(pg_get_serial_sequence(name, 'id'), last) FROM (VALUES
    ('accounts_organisation', (SELECT max(id) FROM accounts_organisation)),
    ('directory_subscription', (SELECT max(id) FROM directory_subscription)),
    ('associations_association', (SELECT max(id) FROM associations_association)),
    ('directory_credential', (SELECT max(id) FROM directory_credential)),
    ('competencies_holding', (SELECT max(id) FROM competencies_holding))
) AS made (name, last);
RESET session_replication_role;
