"""One row of the table of settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from chalicelib.settings import Settings

T = TypeVar("T")
REQUIRED: Any = object()


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One row of the table. `default` stands for an unset or empty variable; REQUIRED has none.
    `secret`: in SSM only, away from `local`. `environment_only`: never looked up in SSM."""

    name: str
    parse: Callable[[str], T]
    default: T
    meaning: str
    example: str
    secret: bool = False
    environment_only: bool = False

    @overload
    def __get__(self, instance: None, owner: type[Settings]) -> Self: ...
    @overload
    def __get__(self, instance: Settings, owner: type[Settings]) -> T: ...
    def __get__(self, instance: Settings | None, owner: type[Settings]) -> Self | T:
        return self if instance is None else instance.read(self)
