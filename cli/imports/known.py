"""Those whom a business has, by all that may name them: id, e-mail address, number, name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from chalicelib.errors import BadRequest
from chalicelib.outbox.contacts import Channel, normalised
from cli.imports.folding import fold, shown

CHANNELS: Mapping[str, Channel] = {"email": "email", "phone": "whatsapp"}


class UnknownPersonError(ValueError):
    """Nobody, or more than one, is meant. Its text is French."""


@dataclass(slots=True)
class Known:
    """Somebody is a mapping with `name`, `email` and `phone`; what is missing says nothing."""

    by_id: dict[str, Mapping[str, str]] = field(default_factory=dict)
    by_key: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, id: str, person: Mapping[str, str]) -> None:
        self.by_id[id] = mine = keys(person)
        for key in mine.items():
            self.by_key[key].add(id)

    def find(self, person: Mapping[str, str]) -> str | None:
        """The id of whom a line describes, None when it is nobody. Raises `UnknownPersonError`."""
        for name, key in (mine := keys(person)).items():
            found = {
                id
                for id in self.by_key.get((name, key), ())
                if not _contradict(name, mine, self.by_id[id])
            }
            if len(found) > 1 and name == "phone":
                found = {i for i in found if self.by_id[i].get("name") == mine.get("name")} or found
            if len(found) > 1:
                raise UnknownPersonError(
                    f"plusieurs fiches correspondent à « {shown(person[name])} » : ajoutez le code"
                )
            if found:
                return found.pop()
        return None

    def user(self, words: str) -> str:
        """The id of the user whom these words name: an id, an address or a name. Raises
        `UnknownPersonError`."""
        if words in self.by_id:
            return words
        try:
            found = self.find({"email": words}) or self.find({"name": words})
        except UnknownPersonError as error:
            raise UnknownPersonError(
                f"plusieurs utilisateurs s'appellent « {shown(words)} » : écrivez l'adresse e-mail "
                "ou le code"
            ) from error
        if found is None:
            raise UnknownPersonError(
                f"« {shown(words)} » n'est le nom d'aucun utilisateur : importez d'abord les "
                "utilisateurs (import users), ou écrivez l'adresse e-mail ou le code d'un seul"
            )
        return found


def keys(person: Mapping[str, str]) -> dict[str, str]:
    """The e-mail address, number and name as they are compared, the surest first."""
    found: dict[str, str] = {}
    for name, channel in CHANNELS.items():
        if value := person.get(name):
            found[name] = contact(channel, value) or value.casefold()
    if value := person.get("name"):
        found["name"] = fold(value) or value.casefold()
    return found


def contact(channel: Channel, value: str) -> str:
    """Its normal form, "" for what nobody can be reached by."""
    try:
        return normalised(channel, value)
    except BadRequest:
        return ""


def _contradict(by: str, mine: Mapping[str, str], theirs: Mapping[str, str]) -> bool:
    """Whether two whom `by` makes one are two all the same. People share a number: one who has
    another address as well as another name is another. A name alone is the weakest of all."""
    differ = {name for name in mine.keys() & theirs.keys() if mine[name] != theirs[name]}
    return {"email", "name"} <= differ if by == "phone" else by == "name" and bool(differ)
