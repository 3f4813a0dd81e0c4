"""Small graphics as SVG, drawn on the server: no script, no inline style, the same in print and in both themes.

All geometry is text before it reaches a template: a Swedish decimal comma in an attribute would break it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from por.web.formatting import language, number_text

Figure = int | float | Decimal | None
Scale = Callable[[Any], float]

#: More lines than this cannot be told apart by colour; the smallest become one.
MOST_LINES = 5
#: How far apart the labels at the ends of the lines are kept, and what one of their letters takes, in px.
LABEL_GAP = 15
LETTER = 6.7


@dataclass(frozen=True)
class Series:
    """One line of a chart; `None` is a month without a figure and breaks the line."""

    name: str
    values: Sequence[Figure]

    @property
    def known(self) -> list[float]:
        return [float(value) for value in self.values if value is not None]


@dataclass(frozen=True)
class Plot:
    """The area inside the axes of one rendering."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    label_every: int
    css: str


def bar(value: Figure, total: Figure, tone: str = "") -> SafeString:
    """Return a bar that shows the share of the value. Its figure is beside it, so screen readers skip the bar."""
    share = min(max(float(value or 0) / float(total), 0.0), 1.0) * 100 if total else 0.0
    return format_html(
        '<svg class="bar {}" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true" focusable="false">'
        '<rect class="bar-t" width="100" height="6"/><rect class="bar-v" width="{}" height="6"/></svg>',
        tone,
        f"{share:.1f}",
    )


def spark(values: Sequence[Figure], series: int = 1, width: int = 88, height: int = 28) -> SafeString:
    """Return a line chart the size of a word, to be shown beside its number; empty for fewer than two values."""
    known = [float(value) for value in values if value is not None]
    if len(known) < 2:
        return SafeString("")
    low, high = min(known), max(known)
    step = (width - 4) / (len(known) - 1)
    spread = (high - low) or 1
    points = [(2 + i * step, height - 4 - (value - low) / spread * (height - 8)) for i, value in enumerate(known)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    (first_x, _first_y), (last_x, last_y) = points[0], points[-1]
    return format_html(
        '<svg class="spark spark--{}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true" focusable="false">'
        '<polygon class="area" points="{}"/><polyline points="{}"/><circle cx="{}" cy="{}" r="2.4"/></svg>',
        str(series),
        str(width),
        str(height),
        str(width),
        str(height),
        f"{first_x:.1f},{height} {line} {last_x:.1f},{height}",
        line,
        f"{last_x:.1f}",
        f"{last_y:.1f}",
    )


def line_chart(
    title: str, labels: Sequence[str], series: Sequence[Series], table: bool = True, half: bool = False
) -> SafeString:
    """Return a line chart in two sizes, of which the style sheet shows one, with its figures as a table.

    Leave the table out where the page has one with these figures. A chart of `half` the width and height stands beside
    another one on a wide screen.
    """
    lines = tuple((line.name, tuple(line.values)) for line in series)
    return _line_chart(language(), title, tuple(labels), lines, table, half)


@lru_cache(200, typed=True)  # the same figures make the same drawing; `typed` keeps safe text apart from other text
def _line_chart(
    _language: str,
    title: str,
    labels: tuple[str, ...],
    lines: tuple[tuple[str, tuple[Figure, ...]], ...],
    table: bool,
    half: bool,
) -> SafeString:
    series = [Series(name, list(values)) for name, values in lines]
    drawn = _at_most_five([line for line in series if line.known])
    top = _nice_top(max((max(line.known) for line in drawn), default=0))
    summary = _summary(title, drawn)
    margin = min(130, max(60, math.ceil(max((len(line.name) for line in drawn), default=0) * LETTER) + 14))
    # Only as many labels as fit without touching.
    room = max((len(label) for label in labels), default=0) * LETTER + LABEL_GAP
    width, height = (530, 190) if half else (760, 330)  # as wide as it is shown, so that its text is not scaled
    many = math.ceil(len(labels) * room / (width - margin - 52))
    fewer = max(3, 3 * math.ceil(len(labels) * room / (760 - margin - 52)))
    large = Plot(width, height, 52, width - margin, 12, height - 26, max(1, many), "chart--l")
    small = Plot(350, 260, 44, 350 - min(margin, 112), 12, 234, fewer, "chart--s")
    drawing = format_html("{}{}", _draw(large, labels, drawn, top, summary), _draw(small, labels, drawn, top, summary))
    if not table:
        return drawing
    return format_html(
        '{}<details class="dtable"><summary>{}</summary>{}</details>',
        drawing,
        _("Show as table"),
        _table(title, labels, series),
    )


def _at_most_five(series: list[Series]) -> list[Series]:
    if len(series) <= MOST_LINES:
        return series
    by_size = sorted(series, key=lambda line: line.known[-1], reverse=True)
    kept = by_size[: MOST_LINES - 1]
    rest = by_size[MOST_LINES - 1 :]
    sums = [
        sum(float(value) for value in month if value is not None) if any(v is not None for v in month) else None
        for month in zip(*(line.values for line in rest), strict=True)
    ]
    return [*(line for line in series if line in kept), Series(_("Other"), sums)]


def _nice_top(highest: float) -> float:
    """Return the least of 4 × (1, 2, 2.5 or 5) × 10ⁿ that reaches the highest figure, so that steps are round."""
    if highest <= 4:
        return 4
    scale = 10.0 ** math.floor(math.log10(highest / 4))
    return float(next(4 * step * scale for step in (1, 2, 2.5, 5, 10) if 4 * step * scale >= highest))


def _summary(title: str, series: Sequence[Series]) -> str:
    if not series:
        return _("%(title)s: no data.") % {"title": title}
    changes = [
        _("%(name)s from %(first)s to %(last)s")
        % {"name": line.name, "first": number_text(line.known[0]), "last": number_text(line.known[-1])}
        for line in series
    ]
    return _("Line chart. %(title)s: %(changes)s.") % {"title": title, "changes": ", ".join(changes)}


def _draw(plot: Plot, labels: Sequence[str], series: Sequence[Series], top: float, summary: str) -> SafeString:
    across = (plot.right - plot.left) / max(1, len(labels) - 1)

    def x(i: int) -> float:
        return plot.left + i * across

    def y(value: float) -> float:
        return plot.bottom - value / top * (plot.bottom - plot.top)

    grid = format_html_join(
        "",
        '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>'
        '<text class="ax" x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (
                str(plot.left),
                str(plot.right),
                f"{y(tick):.1f}",
                f"{y(tick):.1f}",
                str(plot.left - 8),
                f"{y(tick) + 4:.1f}",
                number_text(tick, 0 if tick == int(tick) else 1),
            )
            for tick in (top * quarter / 4 for quarter in range(5))
        ),
    )
    months = format_html_join(
        "",
        '<text class="ax" x="{}" y="{}" text-anchor="middle">{}</text>',
        (
            (f"{x(i):.1f}", str(plot.bottom + 20), label)
            for i, label in enumerate(labels)
            if (len(labels) - 1 - i) % plot.label_every == 0
        ),
    )
    room = plot.width - plot.right - 10
    ends = _end_labels([y(line.known[-1]) + 4 for line in series], plot.bottom + 4)
    lines = format_html_join(
        "",
        '{}<text class="lab t{}" x="{}" y="{}">{}</text>',
        (
            (
                _line(line, str(number), labels, x, y),
                str(number),
                str(plot.right + 10),
                f"{end:.1f}",
                _shortened(line.name, int(room / LETTER)),
            )
            for number, (line, end) in enumerate(zip(series, ends, strict=True), start=1)
        ),
    )
    return format_html(
        '<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>',
        plot.css,
        str(plot.width),
        str(plot.height),
        summary,
        grid,
        months,
        lines,
    )


def _line(line: Series, number: str, labels: Sequence[str], x: Scale, y: Scale) -> SafeString:
    strokes: list[list[str]] = [[]]
    points = []
    for i, value in enumerate(line.values):
        if value is None:
            strokes.append([])
            continue
        at = (f"{x(i):.1f}", f"{y(float(value)):.1f}")
        strokes[-1].append(",".join(at))
        points.append((number, *at, f"{line.name}, {labels[i]}: {number_text(value)}"))
    return format_html(
        "{}{}",
        format_html_join(
            "",
            '<polyline class="ln s{}" points="{}"/>',
            # A month between two gaps is a line of its own, drawn as a dot.
            ((number, " ".join(stroke if len(stroke) > 1 else stroke * 2)) for stroke in strokes if stroke),
        ),
        format_html_join("", '<circle class="pt s{}" cx="{}" cy="{}" r="3"><title>{}</title></circle>', points),
    )


def _end_labels(wanted: list[float], lowest: float) -> list[float]:
    """Return the heights of the labels: at the ends of their lines, moved down and then up until none overlap."""
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    placed = dict(enumerate(wanted))
    for above, below in zip(order, order[1:], strict=False):
        placed[below] = max(placed[below], placed[above] + LABEL_GAP)
    limit = lowest
    for i in reversed(order):
        placed[i] = min(placed[i], limit)
        limit = placed[i] - LABEL_GAP
    return [placed[i] for i in range(len(wanted))]


def _shortened(name: str, letters: int) -> str:
    return name if len(name) <= letters else name[: letters - 1].rstrip() + "…"


def _table(title: str, labels: Sequence[str], series: Sequence[Series]) -> SafeString:
    return format_html(
        '<div class="tblwrap" role="region" aria-label="{}" tabindex="0"><table><caption class="vh">{}</caption>'
        "<thead><tr><td></td>{}</tr></thead><tbody>{}</tbody></table></div>",
        _("%(title)s (table)") % {"title": title},
        title,
        format_html_join("", '<th scope="col">{}</th>', ((label,) for label in labels)),
        format_html_join(
            "",
            '<tr><th scope="row">{}</th>{}</tr>',
            (
                (line.name, format_html_join("", "<td>{}</td>", ((number_text(value),) for value in line.values)))
                for line in series
            ),
        ),
    )
