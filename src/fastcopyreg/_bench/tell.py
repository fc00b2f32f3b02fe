"""The report in words: for a terminal, for a summary in Markdown, and as a chart in SVG."""

from __future__ import annotations

import html
from collections.abc import Iterable

from ..bench import Result, Timing, format_ns, format_table
from .suite import OURS, STDLIB, Race, Report, environment

_HEADER = ("workload", "operation", "objects", STDLIB, OURS, "ratio", "quartiles", "dropped")
_MEMORY = ("memory an object", "ours / stdlib")


def _timing(result: Result, label: str) -> Timing | None:
    return next((timing for timing in result.timings if timing.label == label), None)


def _peers(report: Report) -> list[str]:
    """The labels of the peers that took part, in the order of their first race."""
    labels: dict[str, None] = {}
    for race in report.races:
        for timing in race.kept.timings[2:] if race.kept else ():
            labels[timing.label] = None
    return list(labels)


def _compared(report: Report) -> bool:
    return any(race.before for race in report.races)


def header(report: Report) -> list[str]:
    change = ["change"] if _compared(report) else []
    return [*_HEADER, *change, *_MEMORY, *_peers(report), "verdict"]


def rows(report: Report) -> list[list[str]]:
    peers, compared = _peers(report), _compared(report)
    return [list(_cells(race, peers, compared)) for race in report.races]


def _cells(race: Race, peers: list[str], compared: bool) -> Iterable[str]:
    """Times are for one object, results kept."""
    yield from (race.name, race.operation, f"{race.objects:,}")
    if race.kept is None or race.dropped is None:
        yield from [""] * 5
    else:
        ratio = race.kept.ratio
        yield from (format_ns(t.median / race.objects) for t in race.kept.timings[:2])
        yield from (f"{ratio.median:.2f}x", f"{ratio.lower:.2f}-{ratio.upper:.2f}")
        yield f"{race.dropped.ratio.median:.2f}x"
    if compared:
        yield "" if race.change is None else f"{race.change:+.1f} %"
    if race.peaks is None:
        yield from ("", "")
    else:
        yield f"{race.peaks[1] / race.objects:,.1f} B"
        yield f"{race.peaks[1] / max(race.peaks[0], 1):.2f}"
    for peer in peers:
        found = _timing(race.kept, peer) if race.kept else None
        yield "" if found is None else format_ns(found.median / race.objects)
    yield "; ".join(race.faults) or "good"


def _where(report: Report) -> str:
    facts = environment()
    text = (
        f"{facts['implementation']} {facts['python']}, fastcopyreg {facts['fastcopyreg']} "
        f"(backend {facts['backend']}), {facts['machine']}, {facts['system']}, {facts['date']}"
    )
    if facts["core_missing"]:
        text += f"\n\nBoth sides are the standard library: {facts['core_missing']}."
    return text


def _legend() -> str:
    return (
        "Times and memory are for one object. The ratio is the standard library's time over ours, "
        "the median of rounds run turn and turn about; its results are kept until the clock "
        'stands, under "dropped" they are freed while it runs.'
    )


def text(report: Report) -> str:
    """The report for a terminal."""
    parts = [_where(report), format_table(header(report), rows(report)), _legend()]
    if report.left_out:
        parts.append("\n".join(f"left out: {reason}" for reason in report.left_out))
    return "\n\n".join(parts)


def markdown(report: Report) -> str:
    """The report for the summary of a job."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    names = header(report)
    table = [line(names), line(["---", "---", *["--:"] * (len(names) - 3), "---"])]
    table += [line(cells) for cells in rows(report)]
    verdict = "all good" if report.good else "**not good**"
    parts = [f"### fastcopyreg bench: {verdict}", "\n".join(table), _where(report), _legend()]
    if report.left_out:
        parts.append("\n".join(f"- left out: {reason}" for reason in report.left_out))
    return "\n\n".join(parts) + "\n"


_WIDTH, _LEFT, _BAR, _GAP = 760, 260, 16, 8


def svg(report: Report) -> str:
    """A chart of the ratios: one bar a race, and a line where both are as fast."""
    raced = [race for race in report.races if race.kept]
    most = max([race.ratio for race in raced] + [report.settings.minimum or 1.0, 1.0])
    scale = (_WIDTH - _LEFT - 80) / most
    height = 40 + len(raced) * (_BAR + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif" font-size="12">',
        "<title>Times as fast as the standard library</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        '<text x="8" y="18" font-weight="bold">Times as fast as the standard library</text>',
    ]
    for number, race in enumerate(raced):
        parts += _bar(race, 30 + number * (_BAR + _GAP), scale)
    parts += _rule(1.0, scale, height, "#555")
    if report.settings.minimum:
        parts += _rule(report.settings.minimum, scale, height, "#c00")
    return "\n".join([*parts, "</svg>"]) + "\n"


def _bar(race: Race, top: int, scale: float) -> list[str]:
    width, middle = race.ratio * scale, top + _BAR - 4
    label = html.escape(f"{race.operation} {race.name}")
    colour = "#c62" if race.faults else "#37a"
    return [
        f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{label}</text>',
        f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{middle}">{race.ratio:.2f}</text>',
    ]


def _rule(ratio: float, scale: float, height: int, colour: str) -> list[str]:
    x = f"{_LEFT + ratio * scale:.1f}"
    return [f'<line x1="{x}" y1="26" x2="{x}" y2="{height - 6}" stroke="{colour}"/>']
