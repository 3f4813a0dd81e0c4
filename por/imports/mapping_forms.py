"""The forms for mapping a file by hand: the columns, then what their values mean; and for what a file does not say."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django import forms
from django.utils.functional import cached_property
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from por.imports import values, whole
from por.imports.building import ADDED_UP, EMPTY, NO_ROW, Chosen, columns_of_key, guesses
from por.imports.formats import WRITTEN
from por.imports.loading import File
from por.imports.mapping import LONGEST
from por.imports.opening import Columns
from por.imports.rules import CELL_SHOWN, COLUMNS_SHOWN, LONGEST_NAME, VALUES_SHOWN
from por.imports.sampling import Table, left_open

INPUT = {"class": "input"}
ALL, FIRST, NEWEST, SUM = "all", "first", "newest", "sum"
#: The part of a mapping by which each of them is known.
PARTS = {SUM: "sum", NEWEST: "newest", FIRST: "each"}
#: Our columns that may stay empty if another says it.
TELLS = {"product": "sku_string_id"}


def _formats(name: str, example: str) -> forms.ChoiceField:
    """Return the question how a file writes numbers or days. Nothing is chosen beforehand."""
    if name == "decimals":
        label = _("What starts the decimals in “%(example)s”?")
        choices = [(".", _("The point: 1,250.40")), (",", _("The comma: 1.250,40"))]
    else:
        label = _("What comes first in “%(example)s”?")
        choices = [("day-first", _("The day: 31/12/2026")), ("month-first", _("The month: 12/31/2026"))]
    return forms.ChoiceField(label=label % {"example": example[:CELL_SHOWN]}, choices=choices, widget=forms.RadioSelect)


#: The names that people may know of encodings.
NAMES_OF_ENCODINGS = {
    "windows-1252": gettext_lazy("Windows-1252 (Western European)"),
    "windows-1250": gettext_lazy("Windows-1250 (Central European)"),
    "windows-1251": gettext_lazy("Windows-1251 (Cyrillic)"),
    "windows-1257": gettext_lazy("Windows-1257 (Baltic)"),
    "ibm850": gettext_lazy("IBM 850 (DOS)"),
    "macintosh": gettext_lazy("Macintosh Roman"),
}


def _encodings(found: Mapping[str, str], initial: str = "") -> forms.ChoiceField:
    """Return the question in which encoding a file is, each with words as they would read. Nothing is chosen before."""
    likeliest = NAMES_OF_ENCODINGS[next(iter(found))]
    return forms.ChoiceField(
        label=_("Which of these is written right?"),
        help_text=_("The file is not in Unicode (UTF-8). It looks like %(name)s.") % {"name": likeliest},
        choices=[(name, f"{words} – {NAMES_OF_ENCODINGS[name]}") for name, words in found.items()],
        initial=initial,
        widget=forms.RadioSelect,
    )


TITLE = gettext_lazy("Name of the mapping")
TITLE_HELP = gettext_lazy("It is kept under this name, and used for later files with the same columns.")


class TitledForm(forms.Form):
    title = forms.CharField(label=TITLE, help_text=TITLE_HELP, max_length=LONGEST_NAME)


class WordsForm(forms.Form):
    """What values of a file mean."""

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self._places: dict[str, tuple[Hashable, str]] = {}

    def ask(
        self,
        key: Hashable,
        prefix: str,
        texts: Sequence[str],
        closed: tuple[Sequence[str], str],
        *,
        known: Mapping[str, str],
        may_be_empty: bool,
    ) -> None:
        """Ask which of our values each of these texts is. Only a certain one is chosen beforehand."""
        allowed, table = closed
        choices = [("", _("Choose …")), *((value, value) for value in allowed)]
        choices += [(EMPTY, _("Leave the cell empty"))] if may_be_empty else []
        choices.append((NO_ROW, _("Leave out these rows")))
        for place, text in enumerate(one for one in texts if not values.is_empty(one)):
            word = values.meaning(table, text, allowed)
            sure = word.value if word and word.is_sure and word.value in allowed else ""
            field = forms.ChoiceField(label=text[:CELL_SHOWN], choices=choices, initial=known.get(text, sure))
            if word and not word.is_sure and word.value in allowed:
                field.help_text = _("Perhaps %(value)s") % {"value": word.value}
            self.fields[f"{prefix}_{place}"] = field
            self._places[f"{prefix}_{place}"] = (key, text)

    def fields_of(self) -> dict[Any, list[Any]]:
        """Return the fields of each key."""
        found: dict[Hashable, list[Any]] = {}
        for name, (key, _text) in self._places.items():
            found.setdefault(key, []).append(self[name])
        return found

    @property
    def words(self) -> dict[Any, dict[str, str]]:
        """Return what was chosen: the value of each text, by the key."""
        found: dict[Hashable, dict[str, str]] = {}
        for name, (key, text) in self._places.items():
            found.setdefault(key, {})[text] = self.cleaned_data[name]
        return found


class ToldForm(WordsForm):
    """What a file with a known mapping does not say about its rows, what its cells leave open, and unclear values."""

    def __init__(
        self,
        data: Any,
        *,
        asked: Mapping[str, str],
        unclear: Mapping[tuple[str, str], Sequence[str]],
        optional: Collection[tuple[str, str]],
        title: str,
        encodings: Mapping[str, str],
    ) -> None:
        super().__init__(data)
        columns = whole.columns()
        closed = {name: one[0] for part in columns.values() for name, one in part.closed.items()}
        for name, example in asked.items():
            if name == "encoding":
                self.fields[name] = _encodings(encodings)
            elif name in WRITTEN:
                self.fields[name] = _formats(name, example)
            elif name in closed:
                choices = [("", _("Choose …")), *((value, value) for value in closed[name])]
                self.fields[name] = forms.ChoiceField(label=name, choices=choices)
            else:
                self.fields[name] = forms.CharField(label=name, max_length=200)
        self._told = list(self.fields)
        for (file, column), texts in unclear.items():
            is_optional = (file, column) in optional
            self.ask(
                (file, column),
                f"word_{file.removesuffix('.csv')}_{column}",
                texts[:VALUES_SHOWN],
                columns[file].closed[column],
                known=dict.fromkeys(texts, EMPTY) if is_optional else {},
                may_be_empty=is_optional or column not in columns[file].required,
            )
        self._optional = optional
        if unclear:
            self.fields["title"] = forms.CharField(
                label=TITLE, help_text=TITLE_HELP, max_length=LONGEST_NAME, initial=title[:LONGEST_NAME], required=False
            )

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and self.meant and not cleaned.get("title"):
            self.add_error("title", _("Enter a name for the mapping."))
        return cleaned

    @property
    def meant(self) -> dict[tuple[str, str], dict[str, str]]:
        """Return what was chosen for each value, but for those that stay as they were."""
        found = self.words
        for key in self._optional:
            found[key] = {text: value for text, value in found.get(key, {}).items() if value != EMPTY}
        return {key: some for key, some in found.items() if some}

    @property
    def questions(self) -> list[Any]:
        return [self[name] for name in self._told]

    @property
    def told(self) -> dict[str, str]:
        return {name: str(self.cleaned_data[name]) for name in self._told}


class TextForm(TitledForm):
    """A kept mapping as text."""

    text = forms.CharField(
        label=gettext_lazy("Mapping (YAML)"),
        widget=forms.Textarea(attrs={"rows": 24, "spellcheck": "false", "class": "code"}),
        max_length=LONGEST,
        help_text=gettext_lazy("docs/estates.md describes its parts."),
    )
    version = forms.CharField(required=False)


class ColumnsForm(TitledForm):
    """Which column of a file becomes which of ours, and which rows are taken."""

    def __init__(
        self,
        data: Any,
        *,
        file: File[Any],
        table: Table,
        before: Mapping[str, Chosen],
        part: Any,
        title: str,
        encodings: Mapping[str, str],
        encoding: str = "",
    ) -> None:
        """`before` is what `part`, the table in the present mapping of the file, chooses; `encoding` is that mapping's.

        `encodings` are those in which the file may be, if it is not in Unicode.
        """
        super().__init__(data, initial={"title": title[:LONGEST_NAME]})
        self.file, self.table = file, table
        self.guessed = {} if before else guesses(file, table.choosable)
        names = [("", _("– none –")), *((name, name[:CELL_SHOWN]) for name in table.choosable[:COLUMNS_SHOWN])]
        for column in file.columns.every:
            chosen = before.get(column, Chosen(self.guessed.get(column, "")))
            self.fields[f"from_{column}"] = forms.ChoiceField(
                label=column, choices=names, required=False, initial=chosen.source, widget=forms.Select(attrs=INPUT)
            )
            self.fields[f"value_{column}"] = self._value(column, chosen.value)
        if encodings:
            self.fields["encoding"] = _encodings(encodings, encoding)
        self.fields["rows"] = forms.ChoiceField(
            label=_("Rows with the same %(key)s") % {"key": ", ".join(columns_of_key(file))},
            choices=self._manners(),
            initial=next((one for one, name in PARTS.items() if name in part), ALL),
            widget=forms.RadioSelect,
        )
        self.fields["newest"] = forms.ChoiceField(
            label=_("Column that tells which row is the newest"),
            choices=names,
            required=False,
            initial=part.get("newest"),
        )
        if "renews_on" in file.columns.every:
            rule = part.get("columns", {}).get("renews_on")
            self.fields["is_last_day"] = forms.BooleanField(
                label=_("The column for renews_on names the last day: the renewal is the day after"),
                required=False,
                initial=isinstance(rule, dict) and rule.get("plus_days") == 1,
            )

        if file.named_by:
            self.fields["is_complete"] = forms.BooleanField(
                label=_("The file has all subscriptions of the customers in it: the others are not in the last file"),
                required=False,
                initial=bool(part.get("complete")),
            )

    def _value(self, column: str, initial: str) -> forms.Field:
        label = _("%(column)s where that is empty") % {"column": column}
        if column in self.file.columns.closed:
            choices = [("", _("– nothing –")), *((one, one) for one in self.file.columns.closed[column][0])]
            select = forms.Select(attrs=INPUT)
            return forms.ChoiceField(label=label, choices=choices, required=False, initial=initial, widget=select)
        text = forms.TextInput(attrs=INPUT)
        return forms.CharField(label=label, max_length=200, required=False, initial=initial, widget=text)

    def _manners(self) -> list[tuple[str, str]]:
        found = [
            (ALL, _("Take each row; a second one with the same is reported")),
            (FIRST, _("Take the first")),
            (NEWEST, _("Take the newest")),
        ]
        added = [column for column in self.file.columns.every if column in ADDED_UP]
        return [*found, *((SUM, _("Add up %(column)s") % {"column": column}) for column in added)]

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return our columns for the page, each with its two fields."""
        return [
            {
                "name": column,
                "is_needed": self._is_needed(column),
                "is_guessed": column in self.guessed and not self.is_bound,
                "source": self[f"from_{column}"],
                "value": self[f"value_{column}"],
            }
            for column in self.file.columns.every
        ]

    def _is_needed(self, column: str) -> bool:
        return column in self.file.columns.required or column in self.file.needed

    @cached_property
    def chosen(self) -> dict[str, Chosen]:
        """Return what was chosen for each of our columns that the mapping makes."""
        given = {
            column: Chosen(self.cleaned_data.get(f"from_{column}", ""), self.cleaned_data.get(f"value_{column}", ""))
            for column in self.file.columns.every
        }
        told = {column: one for column, one in given.items() if one.source or one.value}
        missing = [column for column in self.file.columns.required if column not in told]  # told by another
        return told | {column: Chosen() for column in missing}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for column in self.file.columns.every:
            source = cleaned.get(f"from_{column}")
            other = TELLS.get(column, "")
            is_told = other in self.file.columns.every and cleaned.get(f"from_{other}")
            if self._is_needed(column) and not (source or cleaned.get(f"value_{column}") or is_told):
                self.add_error(
                    f"from_{column}", _("%(column)s: choose a column, or a value for all rows.") % {"column": column}
                )
            if source and column in self.file.columns.closed and len(self.table.values_of(source)) > VALUES_SHOWN:
                text = _("%(column)s: “%(source)s” has more than %(most)s different values. Choose another column.")
                given = {"column": column, "source": source, "most": VALUES_SHOWN}
                self.add_error(f"from_{column}", text % given)
        if not any(cleaned.get(f"from_{column}") for column in self.file.columns.every):
            raise forms.ValidationError(_("Choose at least one column of the file."))
        if cleaned.get("rows") == NEWEST and not cleaned.get("newest"):
            self.add_error("newest", _("Choose the column that tells which row is the newest."))
        return cleaned


class ValuesForm(WordsForm):
    """What the values of the chosen columns mean, and how numbers and days are written if the file does not tell."""

    def __init__(
        self, data: Any, *, path: Path, columns: ColumnsForm, before: Mapping[str, Chosen], written: Mapping[str, str]
    ) -> None:
        super().__init__(data)
        self._columns = columns
        ours = columns.file.columns
        for column, one in columns.chosen.items():
            if one.source and column in ours.closed:
                known = before[column].words if column in before and before[column].source == one.source else {}
                texts = columns.table.values_of(one.source)
                may_be_empty = column not in ours.required or column in TELLS
                self.ask(column, f"word_{column}", texts, ours.closed[column], known=known, may_be_empty=may_be_empty)
        for name, example in self._left_open(path).items():
            self.fields[name] = _formats(name, example)
            self.fields[name].initial = written.get(name)

    def _left_open(self, path: Path) -> dict[str, str]:
        ours = self._columns.file.columns
        numbers = [one.source for name, one in self._columns.chosen.items() if name in ours.numbers and one.source]
        days = [one.source for name, one in self._columns.chosen.items() if name in ours.days and one.source]
        every = tuple(dict.fromkeys([*numbers, *days]))
        table = self._columns.table
        wanted = Columns(
            *(every, every, numbers, days),
            may_resemble=True,
            encoding=table.encoding,
            header_line=table.header_line,
        )
        return left_open(path, wanted) if every else {}

    @property
    def groups(self) -> list[tuple[str, str, list[Any]]]:
        """Return the questions about values: for each of our columns its name, the file's, and the fields."""
        return [(column, self._columns.chosen[column].source, some) for column, some in self.fields_of().items()]

    @property
    def formats(self) -> list[Any]:
        return [self[name] for name in self.fields if name in WRITTEN]

    @property
    def chosen(self) -> dict[str, Chosen]:
        """Return what was chosen for each of our columns, with the words."""
        found = self._columns.chosen
        for column, words in self.words.items():
            found[column].words = words
        return found

    @property
    def written(self) -> dict[str, str]:
        return {name: self.cleaned_data[name] for name in WRITTEN if name in self.cleaned_data}
