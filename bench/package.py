"""What would be deployed, weighed: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

from __future__ import annotations

from collections.abc import Iterator

from bench.measure import Measure
from scripts.package import APP_ZIP, OUTPUT, build, check
from scripts.weight import total

GOAL = 45.0
STAGE = "dev"


def measure(*, quick: bool) -> Iterator[Measure]:
    """Megabytes zipped, dependencies included. What `make package` left is weighed; without it, it
    is built, which needs a network, and left out of a quick run."""
    built = next((stage for stage in sorted(OUTPUT.glob("*")) if (stage / APP_ZIP).exists()), None)
    if built is None:
        if quick:
            return
        built = OUTPUT / STAGE
        build(STAGE, built)
    whole = total(check(built))
    yield Measure(
        "weight of the zipped package",
        [whole.zipped / 1e6],
        "MB",
        GOAL,
        f"{whole.unzipped / 1e6:.0f} MB unzipped",
    )
