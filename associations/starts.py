"""The starts of associations in files that only know until when each had begun at the latest."""

from __future__ import annotations

from django.db import connection


def keep() -> None:
    """Give each staged association the stored start, if the same partner has been there since before.

    An export names the months in which it saw an association, or the term of its subscription, which moves. The true
    start is in none of them, so a later day is no news.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE estate_staged_associations AS staged SET began_on = known.began_on
            FROM (
                SELECT line, max((one.began_at AT TIME ZONE 'UTC')::date) AS began_on
                FROM estate_staged_associations AS row
                JOIN directory_partner AS partner USING (mpn_id)
                LEFT JOIN directory_subscription AS subscription
                    ON subscription.subscription_id = row.subscription_id AND subscription.left_at IS NULL
                LEFT JOIN directory_customer AS customer USING (tenant_id)
                JOIN associations_association AS one
                    ON one.partner_id = partner.organisation_id AND one.kind = row.kind AND one.undone_at IS NULL
                    AND one.customer_id = coalesce(subscription.customer_id, customer.organisation_id)
                    AND one.subscription_id IS NOT DISTINCT FROM subscription.id
                WHERE (subscription.id IS NOT NULL OR row.subscription_id IS NULL)
                    AND (one.began_at AT TIME ZONE 'UTC')::date <= row.began_on
                    AND (one.ended_at IS NULL OR (one.ended_at AT TIME ZONE 'UTC')::date > row.began_on)
                GROUP BY line
            ) AS known
            WHERE staged.line = known.line
            """
        )
