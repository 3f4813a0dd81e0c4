"""The form for uploading the files of an estate."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from django import forms
from django.conf import settings
from django.core.files import File
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from por.imports import uploads, whole

DRY_RUN, IMPORT = "dry", "load"


class FilesInput(forms.FileInput):
    allow_multiple_selected = True


class ImportForm(forms.Form):
    """Several CSV files, or a zip of them, for a dry run or an import."""

    file = forms.Field(
        label=_("Files"),
        widget=FilesInput(attrs={"accept": ".csv,.tsv,.txt,.zip"}),
        error_messages={"required": _("Choose the files, or a .zip file that contains them.")},
    )
    manner = forms.ChoiceField(
        label=_("What to do"),
        choices=[
            (DRY_RUN, _("Dry run: check what an import would do, without changing anything")),
            (IMPORT, _("Import now")),
        ],
        initial=DRY_RUN,
        widget=forms.RadioSelect,
    )

    complete = forms.ChoiceField(
        label=_("Subscriptions that the files do not name"),
        choices=[
            ("", _("Tell by the size of the file: with more than half of all subscriptions it is complete")),
            ("yes", _("The files have all subscriptions of their customers: the others are not in the last file")),
            ("no", _("The files are a part: say nothing of the others")),
        ],
        required=False,
    )

    def __init__(self, *args: Any, scratch: ExitStack | None = None, is_too_large: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._scratch, self._is_too_large = scratch, is_too_large
        self.fields["file"].required = not is_too_large  # then none of them was kept
        self.fields["file"].help_text = _(
            "Choose some or all of these files: %(names)s. You can also choose exports of other programs as CSV, and a "
            ".zip file with the files at its top level. The maximum total size is %(most)s."
        ) % {"names": ", ".join(whole.names()), "most": filesizeformat(settings.LARGEST_UPLOAD)}

    def clean_file(self) -> list[File[bytes]]:
        self.fields["file"].required = True
        if self._is_too_large:
            raise uploads.too_large()
        assert self._scratch is not None  # a submitted form has a place to unpack
        return uploads.files_of(self.cleaned_data["file"], self._scratch)

    @property
    def is_complete(self) -> bool | None:
        return {"yes": True, "no": False}.get(self.cleaned_data["complete"])

    @property
    def is_dry_run(self) -> bool:
        return bool(self.cleaned_data["manner"] == DRY_RUN)
