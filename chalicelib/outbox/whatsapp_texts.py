"""The texts of WhatsApp messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.errors import NotFound


@dataclass(frozen=True)
class WhatsAppText:
    text: str
    variables: tuple[str, ...]


def render(folder: str, variant: str, content: Mapping[str, object]) -> WhatsAppText:
    raise NotFound(f"Texte WhatsApp inconnu : « {folder} ».")
