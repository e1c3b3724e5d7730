"""The columns of exported tasks and appointments: of a French spreadsheet, and of the calendars
and task lists that small businesses export from."""

from __future__ import annotations

from cli.imports.columns import Columns
from cli.imports.people_columns import ZONE
from cli.imports.subject import Stated, Subject, words

_CUSTOMER = ("client", "code client", "nom client", "patient", "customer", "customer name")
_YES = "oui|vrai|yes|true|x"
_NO = "non|faux|no|false"
_CLOCK = {"created_at": "ponctuel.clock()", "updated_at": "ponctuel.clock()"}
_UPDATED = {"updated_at": "ponctuel.clock()"}

TASKS = Subject(
    "tasks",
    Columns(
        {
            "code": ("code", "code tache", "numero tache", "identifiant", "identifiant tache",
                     "id", "uid", "reference", "task id", "card id"),
            "title": ("titre", "tache", "intitule", "objet", "sujet", "libelle", "titre tache",
                      "nom tache", "faire", "title", "task", "task name", "card name", "content",
                      "subject", "summary", "nom", "name"),
            "due": ("echeance", "date echeance", "date limite", "faire avant", "faire pour",
                    "pour", "date heure echeance", "date butoir", "due date", "due", "due at",
                    "due on", "deadline"),
            "date": ("date",),
            "due_time": ("heure", "heure echeance", "heure limite", "due time", "time"),
            "critical": ("critique", "tache critique", "priorite", "urgence", "urgent",
                         "importance", "priority", "critical"),
            "user_id": ("email assignee", "assignee email", "assignee", "assigne", "assignation",
                        "responsable", "utilisateur", "affectee", "affecte", "attribuee",
                        "attribue", "confiee", "collaborateur", "personne", "charge", "qui",
                        "assigned", "assigned to", "responsible", "members", "user", "owner"),
            "status": ("statut", "etat", "avancement", "statut tache", "etat avancement",
                       "status", "progress"),
            "done": ("terminee", "termine", "faite", "fait", "achevee", "realisee",
                     "date achevement", "completed", "completed at", "date completed", "done",
                     "due complete"),
            "customer_id": _CUSTOMER,
            "zone": ZONE,
            "type": ("type",),
        },
        {"title": "Titre"},
        again={"due": "due_time"},
    ),
    "titre, échéance, assignée à, statut…",
    {
        "code": "code",
        "title": "titre",
        "due": "échéance",
        "date": "date",
        "due_time": "heure",
        "critical": "priorité",
        "user_id": "assignée à",
        "status": "statut",
        "done": "terminée",
        "customer_id": "client",
        "zone": "fuseau horaire",
        "type": "type",
    },
    {
        "title": Stated(),
        "user_id": Stated(),
        "customer_id": Stated(),
        # Of a line that says when, the day is always given: one without an hour takes it away.
        "due_at": Stated(
            type="timestamptz",
            merged="CASE WHEN n.due_on IS NULL THEN r.due_at ELSE n.due_at END",
        ),
        "due_on": Stated(type="date"),
        "status": Stated("'open'"),
        "critical": Stated("false", type="boolean"),
    },
    {
        "critical": words(
            true="critique|urgent|urgente|tres urgent|tres urgente|tres haute|tres elevee|maximale|"
            "bloquante|bloquant|vitale|critical|highest|very high|blocker|p0|p1|1|" + _YES,
            false="haute|haut|elevee|eleve|importante|important|moyenne|moyen|normale|normal|faible|"
            "basse|bas|standard|aucune|non urgent|non urgente|high|medium|low|lowest|none|p2|"
            "p3|p4|p5|0|2|3|4|5|6|7|8|9|" + _NO,
        ),
        "status": words(
            open="a faire|ouverte|ouvert|en cours|en attente|non commencee|non commence|nouvelle|"
            "nouveau|planifiee|planifie|differee|differe|en retard|a traiter|non terminee|"
            "non termine|active|todo|to do|open|new|in progress|not started|waiting|pending|"
            "deferred|waiting on someone else|needs action|needsaction|backlog|incomplete",
            done="terminee|termine|faite|fait|achevee|acheve|cloturee|cloture|close|fermee|ferme|"
            "realisee|realise|finie|fini|done|completed|complete|closed|finished",
            cancelled="annulee|annule|abandonnee|abandonne|supprimee|supprime|sans objet|cancelled|"
            "canceled",
        ),
    },
    _UPDATED,
    _CLOCK,
)  # fmt: skip

APPOINTMENTS = Subject(
    "appointments",
    Columns(
        {
            "code": ("code", "code rendez vous", "code rdv", "numero rendez vous", "identifiant",
                     "identifiant rendez vous", "id", "uid", "reference", "event id",
                     "appointment id"),
            "title": ("titre", "rendez vous", "rdv", "objet", "sujet", "intitule", "libelle",
                      "evenement", "motif", "title", "subject", "summary", "event", "event name",
                      "appointment", "nom", "name"),
            "starts": ("debut", "date debut", "date heure debut", "date et heure debut", "commence",
                       "date heure", "date et heure", "start", "start date", "starts at",
                       "start datetime", "begin", "dtstart"),
            "day": ("date", "date rendez vous", "date rdv", "jour", "date evenement", "day"),
            "start_time": ("heure debut", "heure", "heure rendez vous", "heure rdv", "horaire",
                           "start time", "time"),
            "ends": ("fin", "date fin", "date heure fin", "date et heure fin", "end", "end date",
                     "ends at", "end datetime", "dtend"),
            "end_time": ("heure fin", "end time"),
            "duration": ("duree", "duree minutes", "duree min", "duration", "duration minutes"),
            "all_day": ("journee entiere", "toute journee", "all day event", "all day"),
            "user_id": ("utilisateur", "participant", "participants", "assigne", "assignee",
                        "responsable", "collaborateur", "intervenant", "praticien", "technicien",
                        "conseiller", "organisateur", "organisateur une reunion", "avec", "agenda",
                        "commercial", "user", "assigned to", "attendee", "host", "organizer",
                        "meeting organizer", "owner"),
            "customer_id": _CUSTOMER,
            "location": ("lieu", "emplacement", "adresse", "endroit", "salle", "location", "where",
                         "place"),
            "status": ("statut", "etat", "statut rendez vous", "statut rdv", "status"),
            "offsets": ("rappels", "rappel", "rappel minutes", "rappels minutes", "rappel avant",
                        "reminders", "reminder minutes"),
            "zone": ZONE,
        },
        {"title": "Titre", "starts": "Début", "user_id": "Utilisateur (ou l'option --user)"},
        again={"starts": "start_time", "ends": "end_time"},
        instead={"starts": "day"},
    ),
    "titre, début, fin, utilisateur, lieu…",
    {
        "code": "code", "title": "titre", "starts": "début", "day": "date",
        "start_time": "heure de début", "ends": "fin", "end_time": "heure de fin",
        "duration": "durée", "all_day": "journée entière", "user_id": "utilisateur",
        "customer_id": "client", "location": "lieu", "status": "statut", "offsets": "rappels",
        "zone": "fuseau horaire",
    },
    {
        "title": Stated(),
        "user_id": Stated(),
        "customer_id": Stated(),
        "location": Stated(),
        "starts_at": Stated(type="timestamptz"),
        # When it is moved, the old end says nothing any more.
        "ends_at": Stated(
            type="timestamptz",
            merged="CASE WHEN n.ends_at IS NULL AND n.starts_at IS NOT DISTINCT FROM r.starts_at"
                   " THEN r.ends_at ELSE n.ends_at END",
        ),
        "status": Stated("'scheduled'"),
        "offsets": Stated(),
    },
    {
        "status": words(
            scheduled="prevu|prevue|planifie|planifiee|confirme|confirmee|a venir|en attente|"
                      "a confirmer|en attente de confirmation|accepte|acceptee|reserve|reservee|"
                      "programme|programmee|provisoire|scheduled|confirmed|accepted|tentative|"
                      "booked|planned|upcoming|pending",
            cancelled="annule|annulee|decline|declinee|refuse|refusee|supprime|supprimee|cancelled|"
                      "canceled|declined",
            done="termine|terminee|passe|passee|effectue|effectuee|realise|realisee|fait|faite|"
                 "honore|honoree|absent|absente|non honore|non venu|no show|done|completed|past",
        ),
        "all_day": words(true="1|" + _YES, false="0|" + _NO),
    },
    _UPDATED,
    _CLOCK,
)  # fmt: skip
