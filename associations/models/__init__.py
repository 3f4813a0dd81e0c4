"""Who is of record, since when and why; who is asked, and who is invited."""

from associations.models.association import FEW as FEW
from associations.models.association import Association as Association
from associations.models.association import AssociationQuerySet as AssociationQuerySet
from associations.models.association import Period as Period
from associations.models.association import customers_visible_to as customers_visible_to
from associations.models.association import end_of as end_of
from associations.models.association import events_visible_to as events_visible_to
from associations.models.association import few_keys as few_keys
from associations.models.association import is_own as is_own
from associations.models.association import narrowed as narrowed
from associations.models.association import newest_events as newest_events
from associations.models.association import own_keys as own_keys
from associations.models.association import partners_of as partners_of
from associations.models.association import start_of as start_of
from associations.models.association import subscriptions_visible_to as subscriptions_visible_to
from associations.models.association import usage_visible_to as usage_visible_to
from associations.models.bulk import Job as Job
from associations.models.bulk import JobRow as JobRow
from associations.models.changing import Challenger as Challenger
from associations.models.changing import ChangeRequest as ChangeRequest
from associations.models.changing import ChangeRequestQuerySet as ChangeRequestQuerySet
from associations.models.changing import Statement as Statement
from associations.models.inviting import Consent as Consent
from associations.models.inviting import Invitation as Invitation
from associations.models.inviting import InvitationQuerySet as InvitationQuerySet
from associations.models.inviting import Invited as Invited
