"""The models of all features: Django looks for them here, and migrations name them by this module."""

from associations.attaching.models import Consent as Consent
from associations.change_requests.models import Challenger as Challenger
from associations.change_requests.models import ChangeRequest as ChangeRequest
from associations.change_requests.models import ChangeRequestQuerySet as ChangeRequestQuerySet
from associations.change_requests.models import Statement as Statement
from associations.invitations.models import Invitation as Invitation
from associations.invitations.models import InvitationQuerySet as InvitationQuerySet
from associations.invitations.models import Invited as Invited
from associations.jobs.models import Job as Job
from associations.jobs.models import JobRow as JobRow
from associations.record.models import Association as Association
from associations.record.models import AssociationQuerySet as AssociationQuerySet
from associations.record.models import Period as Period
from associations.record.models import SeenUsage as SeenUsage
from associations.record.models import Unexplained as Unexplained
from associations.record.models import UsageSums as UsageSums
from associations.renewals.models import RenewalNotice as RenewalNotice
from associations.renewals.models import Replacement as Replacement
