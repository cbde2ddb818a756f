"""Settings under which networks were measured before one percent meant one percent.

Their records chose the epoch by 0.5 % more labels, and some networks took fewer steps. A query for ``quick`` no longer
finds them; one for ``BEFORE["quick"]`` does. The book shows them in grey until the networks are measured anew.
"""

from __future__ import annotations

VALIDATION = "fit.choose=validation"
STEPS = f"{VALIDATION};fit.least_steps=0"
BEFORE = {
    "quick": f"quick[{STEPS}]",
    "cmtssl": f"cmtssl[{VALIDATION}]",
    **{name: f"{name}[{VALIDATION}]" for name in ("freenet", "cegcn", "ssdgl")},
    **{name: f"{name}[{STEPS}]" for name in ("cnn-1d", "cnn-2d", "cnn-3d", "hybridsn", "ssrn", "dbda", "a2s2k-resnet")},
    "cnn-bilstm": f"cnn-bilstm[{STEPS}]",
    **{name: f"{name}[{STEPS};fit.batch_size=56]" for name in ("mhssmamba", "pyformer")},
    **{name: f"{name}[{STEPS};fit.batch_size=64]" for name in ("spectralformer", "ssftt")},
    "wavemamba": f"wavemamba[{STEPS};fit.batch_size=256]",
}
