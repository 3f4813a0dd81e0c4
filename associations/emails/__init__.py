"""Who is told what, and with which facts; the sentences are in templates/emails/."""

from associations.emails.record import CHANGES as CHANGES
from associations.emails.record import changed as changed
from associations.emails.record import ended as ended
