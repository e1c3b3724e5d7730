"""The name of a trial: what it takes to run it again, drawn numbers included."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Seed:
    """Written `job/proof/n`, or `job/proof/case/n`; trial n of a proof's case."""

    job: str
    proof: str
    case: str
    n: int

    def __str__(self) -> str:
        parts = (self.job, self.proof, self.case, str(self.n))
        return "/".join(part for part in parts if part)

    @classmethod
    def parse(cls, text: str) -> Seed:
        """Raises `ValueError` for what is no seed."""
        parts = text.split("/")
        if len(parts) == 3:
            parts.insert(2, "")
        if len(parts) != 4 or not parts[3].isdecimal():
            raise ValueError(f"no seed: {text}")
        return cls(parts[0], parts[1], parts[2], int(parts[3]))
