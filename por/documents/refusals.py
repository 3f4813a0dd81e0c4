"""Why a file is refused: a sentence for each code, which says what to do."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from por.documents.kinds import LARGEST, MB, MOST_PIXELS
from por.errors import Refused

SENTENCES = {
    "file_empty": _("The file is empty."),
    "file_too_large": _("The file is too large. It can have up to %(most)s MB."),
    "file_type": _("The content of the file is of no type that a proof can have: PDF, DOCX, XLSX, PNG, JPG or EML."),
    "wrong_ending": _("The file is named as %(named)s, but its content is %(found)s. Give it the right ending."),
    "file_truncated": _("The file is not complete. Save it again where it comes from."),
    "file_damaged": _("The file is damaged. Save it again where it comes from."),
    "file_encrypted": _("The file is encrypted or protected by a password. Save it without protection."),
    "file_polyglot": _("The file contains another file besides what it shows. Print it as PDF and upload the copy."),
    "file_macro": _("The file contains macros. Save it without macros, or as PDF."),
    "file_too_complex": _("The file takes too long to check. Upload only the pages that matter, as PDF."),
    "pdf_script": _("The PDF contains scripts. Print it as PDF and upload the copy."),
    "pdf_action": _("The PDF starts programs, plays media or sends data. Print it as PDF and upload the copy."),
    "pdf_embedded_file": _("The PDF contains other files. Upload those on their own, and this one printed as PDF."),
    "office_embedded": _("The file contains another file. Save it as PDF and upload that."),
    "office_elsewhere": _("The file loads parts of itself from elsewhere. Save it as PDF and upload that."),
    "office_xml": _("The file contains declarations that Office never writes. Save it as PDF and upload that."),
    "archive_ratio": _("The file becomes far too large when it is opened."),
    "archive_overlap": _("The parts of the file overlap, as they do in files that are made to do harm."),
    "archive_nested": _("The file contains another packed file. Save it as PDF and upload that."),
    "archive_too_many": _("The file has too many parts. Save it as PDF and upload that."),
    "archive_names": _("The file has parts whose names are not allowed. Save it as PDF and upload that."),
    "picture_too_large": _("The picture is too large. It can have up to %(pixels)s million pixels."),
    "picture_bomb": _("The picture becomes far larger than it says when it is opened."),
    "mail_parts": _("The mail has too many parts. Save it as PDF and upload that."),
    "mail_nested": _("The mail contains mails within mails. Upload the one that matters."),
    "mail_attachment": _("The attachment is of no type that a proof can have: PDF, DOCX, XLSX, PNG, JPG or EML."),
}


def refusal(code: str, details: Mapping[str, str] | None = None) -> Refused:
    """Return the refusal of a file, on the field `file`. The details name the attachment of a mail that is meant."""
    given = {"most": str(LARGEST // MB), "pixels": str(MOST_PIXELS // 1_000_000), **(details or {})}
    text = SENTENCES[code] % given
    if "name" in given:
        text = gettext("%(name)s in the mail: %(refusal)s") % {"name": given["name"], "refusal": text}
    return Refused(code, text, field="file")
