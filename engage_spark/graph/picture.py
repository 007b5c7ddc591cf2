"""Draw one day's graph as SVG: who is most central, how they are connected, how centrality is distributed.

The input is ids, measured values and counts, so no protected field can appear. Pure text, no Spark, the same
bytes for the same values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engage_spark.masking import escaped

WIDTH, HEIGHT = 1160, 700
BLUE, GREY, DARK, LIGHT = "#2a6fb0", "#9aa3ad", "#1f2933", "#e3e8ee"
COLOURS = ("#2a6fb0", "#d9822b", "#3a9c6d", "#b64a5e", "#7a5fb5", "#4fa3b8", "#a3863c", "#6b7785")
"""Colours of communities, in the order in which they appear among the most central."""


@dataclass(frozen=True)
class CentralVertex:
    """One of the most central vertices. [lower, upper] bounds betweenness; equal where it is exact."""

    id: str
    centrality: float
    betweenness: float
    lower: float
    upper: float
    degree: int
    community: int


@dataclass(frozen=True)
class Picture:
    """Contents of the picture."""

    title: str
    subtitle: str
    measure: str
    """Name of the centrality."""
    top: Sequence[CentralVertex]
    links: Sequence[tuple[int, int, float]]
    """(index, index, strength) among `top`."""
    measured: Sequence[int]
    """Counts in equal bins from 0 to 1."""
    given: Sequence[int] | None
    """The same of the delivered values."""

    def svg(self) -> str:
        """Draw the picture as one self-contained SVG document."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif" '
            f'font-size="12" fill="{DARK}">'
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
        )
        parts = [
            head,
            _text(30, 38, self.title, size=20, weight="600"),
            _text(30, 60, self.subtitle, fill="#52606d"),
            *self._bars(),
            *self._ring(),
            *self._distribution(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _colour(self, community: int) -> str:
        order = list(dict.fromkeys(v.community for v in self.top))
        return COLOURS[min(order.index(community), len(COLOURS) - 1)]

    def _bars(self) -> list[str]:
        """Betweenness of the most central, with its interval where it is not exact."""
        x, y, wide = 190, 118, 330
        sampled = any(v.upper > v.lower for v in self.top)
        parts = [
            _text(30, 92, f"Highest {self.measure}", weight="600"),
            _text(
                30,
                108,
                "bar: betweenness, "
                + ("whisker: interval, " if sampled else "exact, ")
                + "right: centrality",
                size=11,
                fill="#52606d",
            ),
        ]
        if not self.top:
            return [*parts, _text(30, y + 20, "the graph has no connections", fill="#52606d")]
        most = max(max(v.upper, v.betweenness) for v in self.top) or 1.0
        row = min(27.0, (HEIGHT - y - 40) / len(self.top))
        for i, v in enumerate(self.top):
            top = y + i * row
            middle = top + row / 2
            hover = (
                f"{escaped(v.id)}: {self.measure} {v.centrality:.4f}, "
                f"betweenness {v.betweenness:.6g}, degree {v.degree:,}"
            )
            parts.append(f"<g><title>{hover}</title>")
            parts.append(_text(30, middle + 4, str(i + 1), size=11, fill="#52606d"))
            parts.append(_text(x - 8, middle + 4, shorten_id(v.id), anchor="end", size=11))
            parts.append(_rect(x, top + 4, wide * v.betweenness / most, row - 8, self._colour(v.community)))
            if v.upper > v.lower:
                left, right = x + wide * v.lower / most, x + wide * v.upper / most
                parts.append(_line(left, middle, right, middle, DARK))
                parts += [_line(end, middle - 4, end, middle + 4, DARK) for end in (left, right)]
            parts.append(_text(x + wide + 46, middle + 4, f"{v.centrality:.3f}", anchor="end", size=11))
            parts.append("</g>")
        return parts

    def _ring(self) -> list[str]:
        """Draw the most central on a ring and the connections among them, thicker where they are stronger;
        colour is the community.
        """
        cx, cy, r = 885, 258, 120
        parts = [_text(620, 92, "Connections among them", weight="600")]
        parts.append(
            _text(
                620,
                108,
                "colour: community (grey: others), width: strength, size: degree",
                size=11,
                fill="#52606d",
            )
        )
        angles = [2 * math.pi * i / max(len(self.top), 1) - math.pi / 2 for i in range(len(self.top))]
        points = [(cx + r * math.cos(a), cy + r * math.sin(a)) for a in angles]
        parts += [
            _line(*points[a], *points[b], "#64748b", width=0.5 + 3.5 * s, opacity=0.25 + 0.55 * s)
            for a, b, s in sorted(self.links)
        ]
        largest = max((v.degree for v in self.top), default=1) or 1
        for rank, (v, a, (px, py)) in enumerate(zip(self.top, angles, points, strict=True), start=1):
            size = 3.5 + 6.5 * math.sqrt(v.degree / largest)
            colour = self._colour(v.community)
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="{size:.1f}" fill="{colour}">'
                f"<title>{escaped(v.id)}</title></circle>"
            )
            lx, ly = cx + (r + 17) * math.cos(a), cy + (r + 17) * math.sin(a)
            parts.append(_text(lx, ly + 4, str(rank), size=10, anchor="middle"))
        return parts

    def _distribution(self) -> list[str]:
        """How many have which centrality: measured as columns, given as a line."""
        x, y, wide, high = 660, 640, 460, 170
        parts = [_text(620, 432, f"Distribution of {self.measure}", weight="600")]
        legend = "blue: measured" + ("" if self.given is None else ", line: as delivered")
        parts.append(_text(620, 448, legend, size=11, fill="#52606d"))
        most = max([*self.measured, *(self.given or ()), 1])
        for tick in _ticks(most):
            level = y - high * tick / most
            parts += [
                _line(x, level, x + wide, level, LIGHT),
                _text(x - 6, level + 4, f"{tick:,}", size=10, anchor="end", fill="#52606d"),
            ]
        step = wide / max(len(self.measured), 1)
        for i, count in enumerate(self.measured):
            tall = high * count / most
            title = f"{i / len(self.measured):.2f} to {(i + 1) / len(self.measured):.2f}: {count:,}"
            parts.append(
                f"<g><title>{title}</title>{_rect(x + i * step + 0.5, y - tall, step - 1, tall, BLUE)}</g>"
            )
        if self.given is not None:
            path = " ".join(
                f"{x + (i + j) * step:.1f},{y - high * c / most:.1f}"
                for i, c in enumerate(self.given)
                for j in (0, 1)
            )
            parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[1]}" stroke-width="1.5"/>')
        parts.append(_line(x, y, x + wide, y, DARK))
        parts += [
            _text(x + wide * t / 10, y + 16, f"{t / 10:.1f}", size=10, anchor="middle", fill="#52606d")
            for t in range(0, 11, 2)
        ]
        return parts


def shorten_id(name: str, most: int = 20) -> str:
    """Leave out the middle of a long id."""
    return name if len(name) <= most else f"{name[: most - 7]}…{name[-6:]}"


def _ticks(most: int) -> list[int]:
    """Return a few round levels up to `most`."""
    base = 10 ** max(0, math.floor(math.log10(max(most, 1))) - 1)
    step = next(s * base for s in (1, 2, 5, 10, 20, 50) if most / (s * base) <= 5)
    return list(range(step, most + 1, step))


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 12,
    weight: str = "400",
    anchor: str = "start",
    fill: str = DARK,
) -> str:
    how = f'font-size="{size}" font-weight="{weight}" text-anchor="{anchor}" fill="{fill}"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {how}>{escaped(text)}</text>'


def _rect(x: float, y: float, wide: float, high: float, fill: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"/>'


def _line(
    x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 1.0, opacity: float = 1.0
) -> str:
    where = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {where} stroke="{colour}" stroke-width="{width:.2f}" stroke-opacity="{opacity:.2f}"/>'
