"""Names of uploaded files, as they are kept and shown. No name becomes a path."""

from __future__ import annotations

import re
import unicodedata

from django.utils.translation import gettext as _

from por import names
from por.documents.kinds import ENDINGS, LONGEST_NAME, Kind
from por.errors import Refused

#: What a person or a program may take for the type of a file. Not "com": contoso.com.pdf is a good name.
_OTHER_ENDING = re.compile(
    r"7z|aspx?|bat|bin|bz2|cab|chm|cmd|csv|dll|doc|docm|dotm?|exe|gif|gz|hta|html?|iso|jar|jse?|lnk|ms[gi]|od[pst]|php|pif|"
    r"pp[st][mx]?|ps1|py|rar|reg|rtf|scr|sh|svg|tar|tiff?|txt|url|vb[es]?|webp|wsf|xhtml|xl[as]m?|xlsb|xltm|xml|xz|zip"
)
_FOLDER = re.compile(r"[/\\]|^[A-Za-z]:|^\.*$")
#: Controls, halves of characters, private and unassigned ones, and separators of lines.
_UNSEEN = {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(name: str) -> tuple[str, Kind]:
    """Return a name as it is kept, and the type that its ending promises. Raises Refused on the field `file`."""
    if any(unicodedata.category(character) in _UNSEEN for character in name):
        text = _("The name of the file contains characters that cannot be shown. Rename the file.")
        raise Refused("name_control", text, field="file")
    name = unicodedata.normalize("NFC", names.clean(name, field="file"))
    if _FOLDER.search(name):
        text = _("The name of the file contains a folder. Choose the file itself.")
        raise Refused("name_path", text, field="file")
    if len(name) > LONGEST_NAME:
        text = _("The name of the file is too long. It can have up to %(most)s characters.")
        raise Refused("name_too_long", text % {"most": LONGEST_NAME}, field="file")
    stem, _dot, ending = name.rpartition(".")
    kind = ENDINGS.get(ending.lower())
    if not stem.strip() or kind is None:
        text = _("%(name)s cannot be a proof. Choose a PDF, DOCX, XLSX, PNG, JPG or EML file.")
        raise Refused("file_ending", text % {"name": name}, field="file")
    before = stem.rpartition(".")[2].strip().lower() if "." in stem else ""
    if before in ENDINGS or _OTHER_ENDING.fullmatch(before):
        text = _("%(name)s has two endings, so it is not clear what it is. Rename the file.")
        raise Refused("double_ending", text % {"name": name}, field="file")
    return name, kind
