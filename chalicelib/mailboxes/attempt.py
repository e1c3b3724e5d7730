"""One attempt at one mailbox: whatever goes wrong there stops no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from chalicelib import logs
from chalicelib.errors import (
    DatabaseUnavailable,
    LeaseLost,
    PonctuelError,
    ProviderError,
    SchemaOutdated,
)
from chalicelib.mailboxes.lease import Candidate, Held
from chalicelib.mailboxes.mailbox_sync import sync_mailbox
from chalicelib.mailboxes.report import Trouble
from chalicelib.mailboxes.turn import Tools, Turn
from chalicelib.providers.imap.port import ImapError, MailSession


@dataclass(frozen=True)
class Ended:
    """`done`: all was read. `trouble` is the whole mailbox's, `troubles` are those of folders."""

    done: bool
    trouble: Trouble | None = None
    troubles: Sequence[Trouble] = ()
    counts: Counter[str] = field(default_factory=Counter)


def attempt(
    tools: Tools, held: Held, open_session: Callable[[], MailSession], over: Callable[[], bool]
) -> Ended:
    """Reads the mailbox until it is read or the time is `over`. Raises `LeaseLost`,
    `DatabaseUnavailable`, `SchemaOutdated`; everything else is in the answer."""
    counts: Counter[str] = Counter()

    def failed(code: str, message: str) -> Ended:
        return Ended(False, trouble(held, code, message), counts=counts)

    with logs.bind(mailbox_id=held.id, business_id=held.business_id):
        try:
            session = open_session()
            try:
                done, troubles = sync_mailbox(Turn(tools, held, session, over, counts))
            finally:
                session.close()
        except (LeaseLost, DatabaseUnavailable, SchemaOutdated):
            raise
        except ImapError as error:
            logs.warning("mailbox_failed", error=error)
            return failed(error.code, str(error))
        except ProviderError as error:
            logs.error("mailbox_not_stored", error=error)
            return failed("storage", str(error))
        except PonctuelError as error:
            logs.error("mailbox_failed", error=error)
            return failed(error.code, str(error))
        except Exception as error:  # noqa: BLE001 - one mailbox stops no other
            logs.error("mailbox_failed", error=error)
            return failed("internal", INTERNAL)
    return Ended(done, None, troubles, counts)


INTERNAL = (
    "La synchronisation de cette boîte s’est interrompue sur une erreur du programme : elle sera "
    "refaite ; les journaux en disent la cause."
)


def trouble(held: Held, code: str, message: str) -> Trouble:
    return Trouble(held.business_id, held.id, code, message)


def host_down(business_id: str, mailbox_id: int) -> Trouble:
    return Trouble(
        business_id,
        mailbox_id,
        "connection",
        "Le serveur de cette boîte ne répond pas à d’autres boîtes non plus : elle sera lue au "
        "prochain passage.",
        tried=False,
    )


def condemned(one: Candidate) -> Trouble:
    return Trouble(
        one.business_id,
        one.id,
        "deaths",
        "La synchronisation de cette boîte a interrompu le programme plusieurs fois de suite : "
        "elle n’est plus tentée qu’une fois par jour. Prévenez l’exploitant.",
        tried=False,
    )
