"""Receipts: a link that shows, to whoever has it, whether a partner is of record as it was said to be.

The link names one association and is signed, so it cannot be guessed or changed; it holds for good. It says nothing of
a person, of usage, or of anything else the customer has.
"""

from __future__ import annotations

from django.core.signing import BadSignature, Signer
from django.utils.translation import gettext_lazy as _

from associations.record.models import Association
from por.errors import NotFound

_signer = Signer(salt="associations.receipt")


def sign(association_id: int) -> str:
    """The part of the address that names an association."""
    return _signer.sign(str(association_id))


def read(signed: str) -> Association:
    """The association as it is now, undone or not. Raises Absent for what nobody has signed here."""
    absent = NotFound("not_found", _("We could not find this receipt. Check that you copied the whole link."))
    try:
        association_id = int(_signer.unsign(signed))
    except (BadSignature, ValueError):
        raise absent from None
    found = Association.objects.of_record().for_listing().filter(pk=association_id).first()
    if found is None or found.subscription is None:
        raise absent
    return found
