"""Signed links to receipts: anyone with the link can check whether a partner is the partner of record.

The link names one association and is signed, so no one can guess or change it. It never expires. The receipt shows no
person, no usage and nothing else of the customer.
"""

from __future__ import annotations

from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext_lazy as _

from associations.record.models import Association
from por.errors import NotFound

_signer = Signer(salt="associations.receipt")


def sign(association_id: int) -> str:
    """Return the part of the address that names an association."""
    return _signer.sign(str(association_id))


def read(signed: str) -> Association:
    """Return the association as it is now, undone or not. Raises NotFound for a wrong signature."""
    absent = NotFound("not_found", _("We could not find this receipt. Check that you copied the whole link."))
    try:
        association_id = int(_signer.unsign(signed))
    except (BadSignature, ValueError):
        raise absent from None
    found = Association.objects.of_record().for_listing().filter(pk=association_id).first()
    if found is None or found.subscription is None:
        raise absent
    return found
