"""Read ``book/claims.yml``, strictly: an entry that cannot be understood is an error that names it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hsilib.errors import InputError, unknown_name
from onepercent.report.claims import SUBJECTS, UNITS, Claim
from onepercent.report.query import in_checkout, query_cells

CLAIMS = Path("book/claims.yml")
KINDS = ("number", "at-least", "at-most", "consistency")
MEASURES = ("query", "complexity", "text", "computed", "works", "reading", "nothing")
WORDS = {"id", "source", "claim", "subject", "measure"}
NUMBERS = {"kind", "stated", "unit", "tolerance", "why"}
OPTIONAL = {"printed", "estimate", "ours", "command", "device", "here", "also"}


@dataclass(frozen=True)
class Published:
    """A result of others as they print it: never measured here, shown with the protocol it was had under.

    Attributes
    ----------
    source : the section that quotes it. scores : scene → percent, as printed.
    """

    source: str
    method: str
    protocol: str
    scores: dict[str, str]


@dataclass(frozen=True)
class Ledger:
    """The whole file.

    Attributes
    ----------
    sections : source → what it is about, in the order in which they are shown.
    """

    sections: dict[str, str]
    claims: tuple[Claim, ...]
    published: tuple[Published, ...]


def claims_file() -> Path:
    """The ledger of the checkout that the working directory lies in.

    Raises
    ------
    InputError : there is none.
    """
    path = in_checkout(CLAIMS)
    if path is None:
        raise InputError(f"{CLAIMS}: not found here or above. Run this in a clone of the repository, or name the file.")
    return path


def read_claims(path: str | Path) -> Ledger:
    """Read the ledger.

    Raises
    ------
    InputError : not readable, or an entry that lacks something or has something unknown; names the entry.
    """
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a readable ledger ({error}).") from error
    if not isinstance(content, dict) or set(content) != {"sections", "recipes", "claims", "published"}:
        raise InputError(f"{path}: a ledger has exactly the keys sections, recipes, claims and published.")
    claims = []
    for i, entry in enumerate(content["claims"], start=1):
        name = entry.get("id", f"number {i}") if isinstance(entry, dict) else f"number {i}"
        try:
            claims.append(_read_claim(entry, content["recipes"], content["sections"]))
        except InputError as error:
            raise InputError(f"{path}: claim {name}: {error}") from error
        if sum(claim.id == name for claim in claims) > 1:
            raise InputError(f"{path}: claim {name}: there are two of this id.")
    published = []
    for i, entry in enumerate(content["published"], start=1):
        if not isinstance(entry, dict) or set(entry) != {"source", "method", "protocol", "scores"}:
            raise InputError(f"{path}: published number {i}: expected source, method, protocol and scores.")
        published.append(Published(**{**entry, "scores": {k: str(v) for k, v in entry["scores"].items()}}))
    return Ledger(content["sections"], tuple(claims), tuple(published))


def _read_claim(entry: Any, recipes: dict[str, str], sections: dict[str, str]) -> Claim:
    if not isinstance(entry, dict):
        raise InputError("expected keys and values.")
    measure = entry.get("measure")
    if not isinstance(measure, dict) or len(measure) != 1:
        raise InputError(f"measure: expected one of {', '.join(MEASURES)}, and what it takes.")
    ((kind, what),) = measure.items()
    if kind not in MEASURES:
        raise unknown_name("measure", str(kind), MEASURES)
    needed = WORDS | NUMBERS if kind not in ("nothing", "reading") or "stated" in entry else WORDS
    for key in sorted(needed - set(entry)):
        raise InputError(f"{key} is missing.")
    for key in sorted(set(entry) - needed - OPTIONAL):
        raise unknown_name("key", key, needed | OPTIONAL)
    if entry["source"] not in sections:
        raise unknown_name("source", entry["source"], sections)
    if entry["subject"] not in SUBJECTS:
        raise unknown_name("subject", entry["subject"], SUBJECTS)
    if (kind == "query" or "here" in entry) and "command" not in entry:
        raise InputError("command is missing: what is to be run for its records?")
    low, high = _stated(entry.get("stated", math.nan))
    claim = Claim(
        id=entry["id"],
        source=entry["source"],
        claim=entry["claim"],
        subject=entry["subject"],
        kind=entry.get("kind", "number"),
        low=low,
        high=high,
        unit=entry.get("unit", ""),
        tolerance=_number("tolerance", entry.get("tolerance", 0)),
        why=entry.get("why", ""),
        measure=(kind, _query(what, recipes) if kind == "query" else what),
        here=tuple((label, _query(text, recipes)) for label, text in entry.get("here", {}).items()),
        also=tuple((label, _query(text, recipes)) for label, text in entry.get("also", {}).items()),
        **{key: entry[key] for key in OPTIONAL - {"here", "also"} if key in entry},
    )
    if claim.kind not in KINDS:
        raise unknown_name("kind", claim.kind, KINDS)
    if claim.unit not in UNITS:
        raise unknown_name("unit", claim.unit, UNITS)
    if (claim.kind == "consistency") != (kind in ("text", "computed")):
        raise InputError("kind consistency belongs to the measures text and computed, and they to it.")
    if (claim.kind == "consistency") != (claim.subject == "text"):
        raise InputError("subject text belongs to kind consistency, and it to that.")
    if claim.unit == "points" and claim.kind == "at-least" and 0 < claim.low <= claim.tolerance:
        raise InputError("tolerance: a gain less its tolerance must be above 0, or no gain at all would support it.")
    return claim


def _stated(value: Any) -> tuple[float, float]:
    low, high = value if isinstance(value, list) and len(value) == 2 else (value, value)
    return _number("stated", low), _number("stated", high)


def _number(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{key}: expected a number, or [lowest, highest] for a stated range; got {value!r}.")
    return float(value)


def _query(text: str, recipes: dict[str, str]) -> str:
    """The query with the names in braces put in; its statistic must be the mean."""

    def put_in(match: re.Match[str]) -> str:
        if match[1] not in recipes:
            raise unknown_name("name in braces", match[1], recipes)
        return recipes[match[1]]

    text = re.sub(r"\{([^}]*)\}", put_in, text)
    query_cells(text)
    if ":" in text.rpartition("/")[2]:
        raise InputError(f"query {text!r}: a claim is judged by the mean; leave the statistic out.")
    return text
