"""What a follow-up says, the same in both modes: the variant's wording and the lead's values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.outbox import whatsapp_texts

FOLDER = "lead_followup"


def content_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the texts, from a row of facts (`name`, `business_name`, `closer_name`)."""
    content: dict[str, Any] = {
        "lead": {"name": row["name"]},
        "business": {"name": row["sender_name"] or row["business_name"]},
    }
    if row["closer_name"]:
        content["closer"] = {"name": row["closer_name"]}
    return content


def text_of(row: Mapping[str, Any], variant: str) -> str:
    """The text of a wa.me link. Raises `MissingVariable`, `NotFound` for an unknown variant."""
    return whatsapp_texts.render(FOLDER, variant, content_of(row)).text
