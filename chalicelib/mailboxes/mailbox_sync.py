"""One mailbox: which folders there are, and then one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.mailboxes import folder_rows, folders, places
from chalicelib.mailboxes.folder_sync import sync_folder, try_again
from chalicelib.mailboxes.folders import KnownFolder
from chalicelib.mailboxes.report import Trouble
from chalicelib.mailboxes.sameness import same_messages
from chalicelib.mailboxes.settling import settle
from chalicelib.mailboxes.turn import Turn
from chalicelib.providers.imap.port import Folder, ImapError

STORM = (
    "uidvalidity",
    "Le serveur renumérote sans cesse les messages de ce dossier : il n’est plus relu que de "
    "loin en loin. Signalez-le à l’hébergeur de la boîte aux lettres.",
)
POISON = (
    "cut",
    "Le serveur coupe la connexion sur un message de ce dossier : les autres sont lus, et celui-là "
    "sera redemandé de moins en moins souvent.",
)
CLOSED = (
    "folder",
    "Ce dossier est annoncé par le serveur mais ne s’ouvre pas : un nouvel essai suivra.",
)
MISSING = (
    "missing",
    "Ce dossier est annoncé par le serveur, qui dit ensuite qu’il n’existe pas. S’il le répète, le "
    "dossier est tenu pour supprimé.",
)
PARKED = {parked[0]: parked for parked in (STORM, CLOSED, MISSING)}


def sync_mailbox(turn: Turn) -> tuple[bool, list[Trouble]]:
    """Reads all that there is to read, until the time is up. Returns whether that is all, and what
    is wrong with folders of it. Raises `ImapError` for what stops the whole mailbox, `LeaseLost`,
    `ProviderError` of the store, `DatabaseUnavailable`."""
    if turn.held.has_pending:
        turn.counts.update(turn.tools.parsing.catch_up(turn.held, turn.over))
    done, troubles = _Sync(turn).run()
    if turn.held.has_unsettled or turn.counts["emails"]:
        done = settle(turn) and done
    return done, troubles


class _Sync:
    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._held = turn.held
        self._session = turn.session
        self._desk = turn.tools.desk
        self._troubles: list[Trouble] = []

    def run(self) -> tuple[bool, list[Trouble]]:
        found = self._session.folders()
        if not found:  # there is always an INBOX
            raise ImapError(
                "unavailable",
                "Le serveur ne montre aucun dossier de la boîte aux lettres : un nouvel essai "
                "suivra.",
            )
        plan = folders.plan(self._held.folders, found, self._held.row["folders"], self._held.now)
        read = list(plan.read)
        if plan.new or plan.gone or plan.back:
            read = self._adopt(plan)
        done = True
        for known, folder in read:
            if self._turn.over():
                return False, self._troubles
            done = self._guarded(known, folder) and done
        self._try_again([known for known, _folder in read if known.state == "active"])
        return done, self._troubles

    def _try_again(self, read: Sequence[KnownFolder]) -> None:
        """Last of all, because the connection may break over them."""
        for known in read:
            if not known.troubles or self._turn.over():
                continue
            try:
                try_again(self._turn, known)
            except ImapError as error:
                if error.code != "connection":
                    raise
                self._told(known, *POISON)
                return

    # Folders

    def _adopt(self, plan: folders.Plan) -> list[tuple[KnownFolder, Folder]]:
        """Writes down which folders there are; returns those to read."""
        lost = [*plan.gone, *(f for f in self._held.folders if f.state == "gone")]
        lost = [folder for folder in lost if folder not in plan.back and folder.last_uid > 0]
        renamed: list[tuple[KnownFolder, Folder]] = []
        for folder in plan.new:
            before = self._renamed_from(folder, lost) if lost else None
            if before is not None:
                renamed.append((before, folder))
                lost.remove(before)
        moved = [folder for _before, folder in renamed]
        gone = [folder for folder in plan.gone if folder not in [b for b, _ in renamed]]
        new = [folder for folder in plan.new if folder not in moved]
        with self._desk.writing(self._held) as connection:
            if gone:
                self._turn.counts["deleted"] += folder_rows.mark_gone(connection, gone)
            if plan.back:
                folder_rows.mark_back(connection, plan.back)
            for before, folder in renamed:
                folder_rows.rename(connection, before, folder)
            added = folder_rows.add(connection, self._held.id, new) if new else []
        self._turn.counts.update(
            folders_new=len(added), folders_gone=len(gone), folders_renamed=len(renamed)
        )
        by_path = {folder.path: folder for folder in new}
        return [*plan.read, *renamed, *((one, by_path[one.path]) for one in added)]

    def _renamed_from(self, folder: Folder, lost: Sequence[KnownFolder]) -> KnownFolder | None:
        """The folder that is listed no more and holds the same messages under the same UIDs."""
        try:
            opened = self._session.open(folder.path)
        except ImapError as error:
            if error.code != "folder":
                raise
            return None
        for known in lost:
            if opened.uidvalidity is not None and opened.uidvalidity == known.uidvalidity:
                with self._desk.transaction() as connection:
                    kept = places.known(connection, known)
                if same_messages(self._session, kept, promised=True):
                    return known
        return None

    def _guarded(self, known: KnownFolder, folder: Folder) -> bool:
        """One folder; one that cannot be opened stops no other. False: there is more to read."""
        now = self._held.now
        if known.state == "parked" and folders.resting(known, now):
            if known.error_code:
                self._told(known, *PARKED[known.error_code])
            return True
        if folder.status is not None and folders.unchanged(known, folder.status, now):
            return True
        try:
            opened = self._session.open(known.path)
        except ImapError as error:
            if error.code != "folder":
                raise
            self._park(known, *(MISSING if error.missing else CLOSED))
            return True
        if folders.unchanged(known, opened, now):
            return True
        done = sync_folder(self._turn, known, opened)
        if known.state == "parked":
            with self._desk.writing(self._held) as connection:
                folder_rows.tell(connection, known, *STORM)
            self._told(known, *STORM)
        return done

    def _park(self, known: KnownFolder, code: str, message: str) -> None:
        with self._desk.writing(self._held) as connection:
            folder_rows.park(connection, known, code, message)
            gone = code == MISSING[0] and known.failures >= folders.GONE_AFTER
            if gone:
                deleted = folder_rows.mark_gone(connection, [known], listed=True)
                self._turn.counts["deleted"] += deleted
        if not gone:
            self._told(known, code, message)

    def _told(self, known: KnownFolder, code: str, message: str) -> None:
        self._troubles.append(
            Trouble(self._held.business_id, self._held.id, code, message, known.id)
        )
