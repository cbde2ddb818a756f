"""The claims ledger: what the descriptions state, beside what was measured, and a verdict that is computed.

``book/claims.yml`` says what is stated, how it is measured and what counts as agreement. It never holds a
verdict; `onepercent.report.verdict` says how one is earned. An entry's measure is one of

- ``query``: the mean of run records over seeds (`onepercent.report.query`);
- ``complexity``: counted in the model, ``SCENE/PART``, see `onepercent.report.complexity`;
- ``text``: arithmetic on the description's own numbers; ``computed``: a name of ``COMPUTED``;
- ``works``: a list of earlier works, which are counted;
- ``reading``: why our own reading of the text decides it, so that it tests nothing;
- ``nothing``: why nothing measures it yet.

``at-least`` and ``at-most`` say on which side of the stated value or range the claim is better than stated; a
``number`` has no such side. ``consistency`` holds the text against itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hsilib.data.catalog import catalog
from hsilib.errors import InputError, unknown_name
from onepercent.report.claims_measures import COMPUTED, calculate, counted
from onepercent.report.query import Answer, NotMeasuredError, Results, query_cells
from onepercent.report.statistics import Estimate
from onepercent.report.verdict import FEWEST_SEEDS, Bounds, Decision, Verdict, decide, place

# From the unit of a record or of the audit (fractions, seconds, MiB, single parameters) to the stated one.
UNITS = {
    "": 1.0,
    "%": 100.0,
    "points": 100.0,
    "min": 1 / 60,
    "GB": 1 / 1024,
    "K": 1e-3,
    "M": 1e-6,
    **dict.fromkeys(("MB", "ms", "epochs", "pixels", "bands", "views", "times", "rank"), 1.0),
}
SUBJECTS = ("performance", "cost", "setting", "text")
GOOD_SIDES = {"at-least": 1, "at-most": -1}


@dataclass(frozen=True)
class Claim:
    """One entry of the ledger.

    Attributes
    ----------
    id : names it. source : the section of the description. claim : in words.
    subject : what it is about, of ``SUBJECTS``: how well, at what price, under which conditions, or the text itself.
    kind : ``number``, ``at-least``, ``at-most`` or ``consistency``.
    low, high : the stated value or range, in ``unit``; NaN where the claim has no number.
    tolerance : in ``unit``. why : the reason for it.
    measure : the kind of measure and what it takes.
    printed : how the description prints its value, where that says more than the number.
    estimate : the description itself calls its value an estimate. ours : the bound is ours, the text names none.
    command : what to run for the records. device : they count only from a device with this in its name.
    here : label → query: the same on a scene at hand, judged by the same bounds.
    also : label → query: something like it measured elsewhere, shown without a verdict.
    """

    id: str
    source: str
    claim: str
    subject: str
    kind: str
    low: float
    high: float
    unit: str
    tolerance: float
    why: str
    measure: tuple[str, Any]
    printed: str = ""
    estimate: bool = False
    ours: bool = False
    command: str = ""
    device: str = ""
    here: tuple[tuple[str, str], ...] = ()
    also: tuple[tuple[str, str], ...] = ()

    @property
    def stated(self) -> str:
        """The stated value with its unit, for a table."""
        if self.printed or math.isnan(self.low):
            return self.printed or "in words"
        numbers = f"{self.low:,g}" if self.low == self.high else f"{self.low:,g} to {self.high:,g}"
        return f"{'+' if self.unit == 'points' else ''}{numbers} {self.unit}".strip()

    @property
    def commands(self) -> list[str]:
        """What to run for its records, the download of scenes that come with no package first."""
        if not self.command:
            return []
        kind, what = self.measure
        away = scenes_away(what) if kind == "query" else []
        return [*([f"hsilib fetch {' '.join(away)}"] if away else []), self.command]

    def bounds(self, ratio: bool = False) -> Bounds:
        """What bears it out."""
        return Bounds(self.low - self.tolerance, self.high + self.tolerance, GOOD_SIDES.get(self.kind, 0), ratio)


@dataclass(frozen=True)
class Finding:
    """What was measured of a claim.

    Attributes
    ----------
    decision : the verdict with what it rests on, in the claim's unit; its estimate is NaN where nothing was measured,
        and of 0 seeds where something was counted.
    source : one line on where it comes from.
    here : label → what was found on a scene at hand.
    also : label → something like it measured elsewhere, in words.
    """

    claim: Claim
    decision: Decision
    source: str = ""
    here: tuple[tuple[str, Finding], ...] = ()
    also: tuple[tuple[str, str], ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What became of the claim."""
        return self.decision.verdict

    @property
    def measured(self) -> str:
        """The value with its interval and the number of seeds, for a table; empty where there is none."""
        found = self.decision.estimate
        if math.isnan(found.value):
            return ""
        return self.source if self.claim.measure[0] == "works" else in_words(found, self.claim.unit)

    @property
    def why_undecided(self) -> str:
        """What so few seeds could have shown and how many would decide; empty for every other verdict."""
        found, unit = self.decision.estimate, self.claim.unit
        if self.verdict != Verdict.UNDECIDED or math.isnan(found.value):
            return ""
        reason = f"fewer than {FEWEST_SEEDS} seeds" if found.n < FEWEST_SEEDS else "the interval lies across an end"
        if math.isnan(self.decision.detectable):
            return f"{reason}; one seed says nothing of the spread"
        what = (
            f"a factor of {self.decision.detectable:.3g}"
            if unit == "times"
            else with_unit(self.decision.detectable, unit)
        )
        needed = self.decision.needed
        more = "no number of seeds would" if math.isinf(needed) else f"about {needed:.0f} would"
        return f"{reason}; {found.n} seeds show {what} with 80 % power, {more} decide at what was found"


def judge(claim: Claim, results: Results) -> Finding:
    """Measure a claim and apply the rule.

    Raises
    ------
    InputError : its measure cannot be understood; names the claim.
    """
    try:
        here = tuple((label, _judge_query(text, claim, results, "")) for label, text in claim.here)
        also = tuple((label, _in_words_of(text, claim, results)) for label, text in claim.also)
        kind, what = claim.measure
        if kind == "query":
            finding = _judge_query(what, claim, results, claim.device)
            return Finding(claim, finding.decision, finding.source, here, also)
        if kind in ("reading", "nothing"):
            verdict = Verdict.OUR_READING if kind == "reading" else Verdict.UNDECIDED
            return Finding(claim, _unmeasured(verdict), str(what), here, also)
        value, source = _counted(claim)
    except InputError as error:
        raise InputError(f"claim {claim.id}: {error}") from error
    verdict = place(value, value, claim.bounds())
    if claim.kind == "consistency":
        verdict = Verdict.CONSISTENT if verdict == Verdict.SUPPORTED else Verdict.INCONSISTENT
    return Finding(claim, Decision(verdict, Estimate(value, value, value, 0)), source, here, also)


def _judge_query(text: str, claim: Claim, results: Results, device: str) -> Finding:
    try:
        answer = results.query(text, device)
    except NotMeasuredError:
        missing = Verdict.NEEDS_DEVICE if device else Verdict.NEEDS_SCENE if scenes_away(text) else Verdict.UNDECIDED
        return Finding(claim, _unmeasured(missing))
    return Finding(claim, decide(_values(answer, claim), claim.bounds(answer.ratio)), answer.source())


def scenes_away(query: str) -> list[str]:
    """The published scenes of a query that come with no package."""
    scenes = dict.fromkeys(scene for scene, _, _ in query_cells(query))
    return [scene for scene in scenes if scene in catalog() and not catalog()[scene].embedded]


def _values(answer: Answer, claim: Claim) -> list[float]:
    return [UNITS[claim.unit] * value for value in answer.values]


def _unmeasured(verdict: Verdict) -> Decision:
    return Decision(verdict, Estimate(math.nan, math.nan, math.nan, 0))


def _counted(claim: Claim) -> tuple[float, str]:
    """Value and source of what needs no seeds."""
    kind, what = claim.measure
    if kind == "complexity":
        return UNITS[claim.unit] * counted(what), f"counted in the model: {what}"
    if kind == "text":
        return calculate(what), f"from the description's own numbers: {what}"
    if kind == "works":
        return len(what), "; ".join(what)
    if what not in COMPUTED:
        raise unknown_name("computed measure", what, COMPUTED)
    return COMPUTED[what](), f"computed: {what}"


def _in_words_of(text: str, claim: Claim, results: Results) -> str:
    try:
        answer = results.query(text)
    except NotMeasuredError:
        return "not measured yet"
    return in_words(decide(_values(answer, claim), claim.bounds(answer.ratio)).estimate, claim.unit)


def in_words(found: Estimate, unit: str) -> str:
    """For example ``96.31 %, 95.90 to 96.72, 10 seeds``."""
    text = with_unit(found.value, unit, "+" if unit == "points" else "")
    if found.n == 0:
        return text
    if found.n == 1:
        return f"{text}, one seed"
    if found.low == found.high:
        return f"{text} with each of {found.n} seeds"
    low, high = (shown(end, "+" if unit == "points" else "") for end in (found.low, found.high))
    return f"{text}, {low} to {high}, {found.n} seeds"


def with_unit(value: float, unit: str, sign: str = "") -> str:
    """A number with its unit."""
    return f"{shown(value, sign)} {unit}".strip()


def shown(value: float, sign: str = "") -> str:
    """A number with as many decimals as its size needs; none for a whole number."""
    if 0 < abs(value) < 0.1:
        return f"{value:{sign}.2g}"
    decimals = 0 if value == round(value) or abs(value) >= 1000 else 1 if abs(value) >= 100 else 2
    return f"{value:{sign},.{decimals}f}"
