"""What the book says about parameters and arithmetic is counted when the page is built.

Directive ``complexity`` with one argument: ``parameters`` (stated beside counted), ``arithmetic`` (FLOPs),
``sums`` (what the stated figures say of each other), ``kernels`` (what would make them true).
"""

from __future__ import annotations

from typing import Any, ClassVar

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from hsilib.data.catalog import catalog
from onepercent.report.complexity import (
    STATED_PARAMETERS,
    STATED_SIZE_MB,
    STATED_TOTAL,
    TILE,
    Complexity,
    attention_reduction,
    audit,
    conv1d_kernel,
    conv2d_kernel,
    ssl_head_parameters,
)
from results import paragraph, table

SCENES = [catalog()[name] for name in ("pavia-university", "salinas", "indian-pines")]
HEADS = [f"{scene.title} ({scene.shape[2]} bands, {len(scene.class_names)} classes)" for scene in SCENES]


def audits() -> list[Complexity]:
    """The dual-branch model on each scene."""
    return [audit(scene.shape[2], len(scene.class_names)) for scene in SCENES]


def rows_of(*rows: tuple[str, ...]) -> list[list[nodes.Node]]:
    """Rows of text for `table`."""
    return [[nodes.Text(cell) for cell in row] for row in rows]


def parameters() -> list[nodes.Node]:
    """Part by part, sums and size."""
    counted = audits()
    heads = [ssl_head_parameters(scene.shape[2]) for scene in SCENES]
    rows = []
    for part, stated in STATED_PARAMETERS.items():
        ours = heads if part == "SSL heads" else [one.parameters[part] for one in counted]
        rows.append((part, f"{stated:,}", *(f"{n:,}" for n in ours)))
    sums = [one.n_parameters + n for one, n in zip(counted, heads, strict=True)]
    rows.append(("sum of these parts", f"{sum(STATED_PARAMETERS.values()):,}", *(f"{n:,}" for n in sums)))
    rows.append(("whole", f"about {STATED_TOTAL:,}", *(f"{n:,}" for n in sums)))
    without = sum(STATED_PARAMETERS.values()) - STATED_PARAMETERS["SSL heads"]
    rows.append(("kept after pre-training", f"{without:,}", *(f"{one.n_parameters:,}" for one in counted)))
    rows.append(("its size in FP32", f"{STATED_SIZE_MB} MB", *(f"{one.size_mb:.2f} MB" for one in counted)))
    return [table(["part", "stated", *HEADS], rows_of(*rows))]


def arithmetic() -> list[nodes.Node]:
    """FLOPs, a patch and a pixel."""
    counted = audits()
    rows = [
        ("one patch of 15 × 15, one output", *(f"{one.flops_per_patch / 1e6:.1f} M" for one in counted)),
        (
            f"one pixel of a tile of {TILE} × {TILE} outputs",
            *(f"{one.flops_per_pixel_dense / 1e6:.3f} M" for one in counted),
        ),
        ("one pixel of an endless scene", *(f"{one.flops_per_pixel_limit / 1e6:.3f} M" for one in counted)),
        (
            "patch by patch over dense, in tiles",
            *(f"{one.flops_per_patch / one.flops_per_pixel_dense:.0f} times" for one in counted),
        ),
    ]
    return [table(["FLOPs", *HEADS], rows_of(*rows))]


def sums() -> list[nodes.Node]:
    """What the stated figures say of each other."""
    parts = sum(STATED_PARAMETERS.values())
    missing = STATED_TOTAL - parts
    width, reduction = 160, 8
    bottleneck, full = 2 * width**2 // reduction, width**2
    sentences = (
        f"The stated parts sum to {parts:,} parameters. The stated whole is about {STATED_TOTAL:,}: "
        f"{missing:,} parameters, {missing / STATED_TOTAL:.0%} of it, belong to no part.".replace("%", " %"),
        f"{STATED_TOTAL:,} parameters of 4 bytes are {STATED_TOTAL * 4 / 1e6:.1f} MB, so the stated "
        f"{STATED_SIZE_MB} MB go with the whole; the stated parts would take {parts * 4 / 1e6:.2f} MB.",
        f"O(C²/r) against O(C²), for C = {width} and r = {reduction}: the bottleneck has 2C²/r = {bottleneck:,} "
        f"weights, one full map C² = {full:,}. The saving is a factor r/2 = {full // bottleneck}, not r = {reduction}.",
    )
    return [nodes.bullet_list("", *(nodes.list_item("", paragraph(sentence)) for sentence in sentences))]


def kernels() -> list[nodes.Node]:
    """Kernel sizes and reduction at which the stated parts would be right."""
    stated = STATED_PARAMETERS
    bands = [scene.shape[2] for scene in SCENES]
    reduction = f"r = {attention_reduction(stated['attention']):.2f}"
    rows = [
        (
            f"spectral encoder, {stated['spectral encoder']:,}",
            "Conv1d, kernel 1",
            *(f"k = {conv1d_kernel(stated['spectral encoder'], n):.2f}" for n in bands),
        ),
        (
            f"spatial encoder, {stated['spatial encoder']:,}",
            "Conv2d, kernel 3 × 3",
            *(f"k = {conv2d_kernel(stated['spatial encoder'], n):.2f}" for n in bands),
        ),
        (f"attention, {stated['attention']:,}", "reduction r = 8, as stated", *([reduction] * len(SCENES))),
    ]
    return [table(["part as stated", "here", *HEADS], rows_of(*rows))]


PARTS = {"parameters": parameters, "arithmetic": arithmetic, "sums": sums, "kernels": kernels}


class ComplexityDirective(SphinxDirective):
    """``{complexity} parameters``."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """The table or list of that name; another name is an error."""
        name = self.arguments[0]
        if name not in PARTS:
            raise self.error(f"complexity {name!r}: expected one of {', '.join(PARTS)}")
        return PARTS[name]()


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry point."""
    app.add_directive("complexity", ComplexityDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
