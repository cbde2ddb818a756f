"""The claims ledger: what the descriptions state, beside what was measured, and a verdict that is computed.

``book/claims.yml`` says what is stated, how it is measured and what counts as agreement. It never holds a
verdict. An entry's measure is one of

- ``query``: the mean of run records (`onepercent.report.query`), with its 95 % interval over the seeds;
- ``complexity``: counted in the model, ``SCENE/PART``, see `onepercent.report.complexity`;
- ``text``: arithmetic on the description's own numbers; ``computed``: a name of ``COMPUTED``;
- ``works``: a list of earlier works, which are counted;
- ``nothing``: why nothing measures it yet.

The rule: what was measured is the interval from ``mean - h`` to ``mean + h``, with h half of the 95 % interval, or the
value alone for one seed or no seeds. It agrees with a ``number`` (or a range) where it overlaps stated ± tolerance,
with ``at-least`` where it does not lie below, with ``at-most`` where it does not lie above. ``consistency`` compares
like ``number``; there a disagreement means that the text contradicts itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from hsilib.data.catalog import catalog
from hsilib.errors import InputError, unknown_name
from onepercent.report.claims_measures import COMPUTED, calculate, counted
from onepercent.report.query import NotMeasuredError, Results, query_cells
from onepercent.report.statistics import confidence_half_width

ROUNDING = 1e-9  # what binary fractions may be off: 97.0 - 96.7 is not quite 0.3

# From the unit of a record or of the audit (fractions, seconds, MiB, single parameters) to the stated one.
UNITS = {
    "": 1.0,
    "%": 100.0,
    "points": 100.0,
    "min": 1 / 60,
    "GB": 1 / 1024,
    "K": 1e-3,
    "M": 1e-6,
    **dict.fromkeys(("MB", "ms", "epochs", "pixels", "bands", "views", "times"), 1.0),
}


class Verdict(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    CONTRADICTS = "contradicts itself"
    NOT_MEASURED = "not measured yet"


@dataclass(frozen=True)
class Claim:
    """One entry of the ledger.

    Attributes
    ----------
    id : names it. source : the section of the description. claim : in words.
    kind : ``number``, ``at-least``, ``at-most`` or ``consistency``.
    low, high : the stated value or range, in ``unit``; NaN where the claim has no number.
    tolerance : in ``unit``. why : the reason for it.
    measure : the kind of measure and what it takes.
    printed : how the description prints its value, where that says more than the number.
    estimate : the description itself calls its value an estimate.
    command : what to run for the records. device : they count only from a device with this in its name.
    also : label → query: the same measured elsewhere, shown without a verdict.
    """

    id: str
    source: str
    claim: str
    kind: str
    low: float
    high: float
    unit: str
    tolerance: float
    why: str
    measure: tuple[str, Any]
    printed: str = ""
    estimate: bool = False
    command: str = ""
    device: str = ""
    also: tuple[tuple[str, str], ...] = ()

    @property
    def stated(self) -> str:
        """The stated value with its unit, for a table."""
        if self.printed or math.isnan(self.low):
            return self.printed or "in words"
        numbers = f"{self.low:,g}" if self.low == self.high else f"{self.low:,g} to {self.high:,g}"
        return f"{'+' if self.unit == 'points' else ''}{numbers} {self.unit}".strip()

    @property
    def scenes(self) -> list[str]:
        """The scenes that its records are of."""
        kind, what = self.measure
        return list(dict.fromkeys(scene for scene, _, _ in query_cells(what))) if kind == "query" else []

    @property
    def commands(self) -> list[str]:
        """What to run for its records, the download of scenes that come with no package first."""
        if not self.command:
            return []
        away = [scene for scene in self.scenes if scene in catalog() and not catalog()[scene].embedded]
        return [*([f"hsilib fetch {' '.join(away)}"] if away else []), self.command]


@dataclass(frozen=True)
class Finding:
    """What was measured of a claim.

    Attributes
    ----------
    value, half_width : mean and half of its 95 % interval, in the claim's unit; NaN where there is none.
    n : seeds; 0 for what is counted or computed.
    source : one line on where it comes from.
    elsewhere : label → the same measured elsewhere, in words.
    """

    claim: Claim
    verdict: Verdict
    value: float = math.nan
    half_width: float = math.nan
    n: int = 0
    source: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()

    @property
    def measured(self) -> str:
        """The value with its interval and the number of seeds, for a table."""
        if math.isnan(self.value):
            return ""
        if self.claim.measure[0] == "works":
            return self.source
        return in_words(self.value, self.half_width, self.n, self.claim.unit)


def judge(claim: Claim, results: Results) -> Finding:
    """Measure a claim and apply the rule.

    Raises
    ------
    InputError : its measure cannot be understood; names the claim.
    """
    try:
        elsewhere = tuple((label, _elsewhere(text, claim, results)) for label, text in claim.also)
        try:
            value, half_width, n, source = _measure(claim, results)
        except NotMeasuredError:
            return Finding(claim, Verdict.NOT_MEASURED, elsewhere=elsewhere)
    except InputError as error:
        raise InputError(f"claim {claim.id}: {error}") from error
    margin = 0.0 if math.isnan(half_width) else half_width
    verdict = compare(claim, value - margin, value + margin)
    return Finding(claim, verdict, value, half_width, n, source, elsewhere)


def compare(claim: Claim, low: float, high: float) -> Verdict:
    """The verdict on a claim whose measured value lies between ``low`` and ``high``, in its unit."""
    slack = claim.tolerance + ROUNDING * max(1.0, abs(claim.high))
    reaches, stays = high >= claim.low - slack, low <= claim.high + slack
    if {"at-least": reaches, "at-most": stays}.get(claim.kind, reaches and stays):
        return Verdict.REPRODUCED
    return Verdict.CONTRADICTS if claim.kind == "consistency" else Verdict.NOT_REPRODUCED


def _measure(claim: Claim, results: Results) -> tuple[float, float, int, str]:
    """Value, half of its interval, seeds and source."""
    kind, what = claim.measure
    if kind == "query":
        answer = results.query(what, claim.device)
        values = [UNITS[claim.unit] * value for value in answer.values]
        return float(np.mean(values)), confidence_half_width(values), len(values), answer.source()
    if kind == "complexity":
        return UNITS[claim.unit] * counted(what), math.nan, 0, f"counted in the model: {what}"
    if kind == "text":
        return calculate(what), math.nan, 0, f"from the description's own numbers: {what}"
    if kind == "computed":
        if what not in COMPUTED:
            raise unknown_name("computed measure", what, COMPUTED)
        return COMPUTED[what](), math.nan, 0, f"computed: {what}"
    if kind == "works":
        return len(what), math.nan, 0, "; ".join(what)
    raise NotMeasuredError(str(what))


def _elsewhere(text: str, claim: Claim, results: Results) -> str:
    try:
        values = [UNITS[claim.unit] * value for value in results.query(text).values]
    except NotMeasuredError:
        return Verdict.NOT_MEASURED.value
    return in_words(float(np.mean(values)), confidence_half_width(values), len(values), claim.unit)


def in_words(value: float, half_width: float, n: int, unit: str) -> str:
    """For example ``96.31 %, 95.90 to 96.72, 10 seeds``."""
    sign = "+" if unit == "points" else ""
    text = f"{shown(value, sign)} {unit}".strip()
    if n == 0:
        return text
    if n == 1:
        return f"{text}, one seed"
    if half_width == 0:
        return f"{text} with each of {n} seeds"
    return f"{text}, {shown(value - half_width, sign)} to {shown(value + half_width, sign)}, {n} seeds"


def shown(value: float, sign: str = "") -> str:
    """A number with as many decimals as its size needs; none for a whole number."""
    decimals = 0 if value == round(value) or abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:{sign},.{decimals}f}"
