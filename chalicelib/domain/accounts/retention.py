"""What becomes of every table of the schema when an account is erased, declared in one place.

Nothing is erased by this module. A condition is SQL on a row `t` of its table and an account `g` to
erase: (business_id, user_id, email in lower case, phone in E.164, the last two may be null). It
joins nothing that another rule erases before it: children stand above their parents.

A test compares this with the schema: a table or column that is not here fails it. A new table needs
one line. Reasons in words are in docs/erasing.md.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.fates import (
    OF_BUSINESS,
    Action,
    Archive,
    Detach,
    Erase,
    Rule,
    Scope,
    Undecided,
    by,
    child,
)

_B: Final = OF_BUSINESS
_U: Final = f"{_B} AND t.user_id = g.user_id"
_ALL: Final = (Erase(_B),)
_OWN: Final = (Erase(_U),)
# Letters to a customer or a lead are the business's, even at the same address: they name the person
# (users have a prefix), notices to the people of the business often do not.
_WRITTEN: Final = (
    "({t}.person = 'user:' || g.user_id OR ({t}.person = ''"
    " AND (lower({t}.recipient) = g.email OR {t}.contact IN (g.email, g.phone))))"
)
_ADDRESS: Final = "{t}.contact IN (g.email, g.phone)"
_ANSWERED: Final = f"{_ADDRESS} AND {{t}}.person = ''"


def _of_message(column: str = "message_id") -> tuple[tuple[Action, ...], tuple[Action, ...]]:
    return (
        child(column, "messages", _WRITTEN.format(t="p")),
        child(column, "messages"),
    )


_HERS: Final = "lower(p.address) = g.email"
_MAIL: Final = "lower(x.address) = g.email AND x.business_id = g.business_id"


def _of_mail(column: str, parent: str) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
    """Of an e-mail or a folder; the user's own are those of the mailbox of her address."""
    own = f"p.mailbox_id IN (SELECT x.id FROM ponctuel.mailboxes x WHERE {_MAIL})"
    exists = f"EXISTS (SELECT 1 FROM ponctuel.{parent} p WHERE p.id = t.{column} AND {{of}})"
    every = (
        "p.mailbox_id IN (SELECT x.id FROM ponctuel.mailboxes x"
        " WHERE x.business_id = g.business_id)"
    )
    return (
        (Erase(exists.format(of=own)),),
        (Erase(exists.format(of=every)),),
    )


_THEIRS: Final = Undecided("mails of colleagues' mailboxes that the person wrote or received")
_REPORTS: Final = Undecided("results and reports of runs name users and customers")
_SLOT: Final = "job zone door reason slot_from slot_to now_at as_of dry_run force operator status"

RULES: Final = (
    # Letters, and what came in.
    Rule("message_lines", "message_id business_id kind subject cycle step", "", *_of_message()),
    Rule("message_bodies", "message_id", "subject text html attachments whatsapp", *_of_message()),
    Rule("message_events", "id message_id at event", "actor reason", *_of_message()),
    Rule(
        "webhook_events",
        "event_key provider type at received_at provider_id reference message_id outcome",
        "payload",
        user=(*_of_message()[0], Undecided("events that belong to no message")),
        business=(*_of_message()[1], Undecided("events that belong to no message")),
    ),
    Rule(
        "messages",
        "id business_id kind subject cycle step key_free channel state hold_reason planned_at"
        " not_before expires_at run_id claim_id claimed_until claims attempts submitting_at"
        " settled_at provider provider_id message_id error_code order_key counted_at proof_at"
        " proofs resends",
        "person recipient content error contact",
        (Erase(f"{_B} AND {_WRITTEN.format(t='t')}"),),
        _ALL,
    ),
    Rule(
        "inbound_offers", "inbound_id domain outcome attempts at", "error",
        child("inbound_id", "inbound_messages", _ANSWERED.format(t="p")),
        child("inbound_id", "inbound_messages"),
    ),
    Rule(
        "inbound_messages",
        "id business_id channel provider provider_id known_by kind media_count in_reply_to intent"
        " at received_at pauses",
        "contact user_id person sender text",
        (Erase(f"{_B} AND {_ANSWERED.format(t='t')}"),),
        _ALL,
    ),
    Rule("contacts", "business_id channel last_inbound_at", "contact user_id",
         (Erase(f"{_B} AND {_ADDRESS.format(t='t')}"),), _ALL),
    Rule("consents", "id business_id channel granted_at source withdrawn_at withdrawn_by",
         "contact person", (Erase(f"{_B} AND {_ANSWERED.format(t='t')}"),), _ALL),
    Rule(
        "suppressions",
        "id business_id channel category reason at source lifted_at lifted_by lift_reason",
        "contact person note",
        (),
        _ALL,
        kept="whoever objected is not written to again; of '*', no mail is taken there",
    ),
    # Mailboxes.
    Rule("email_attachments", "email_id position declared_type type size inline sha256",
         "name content_id stored_key", *_of_mail("email_id", "emails")),
    Rule("email_awaits", "mailbox_id email_id", "message_id", *_of_mail("email_id", "emails")),
    Rule("email_places", "folder_id uidvalidity uid email_id flags gone_at", "",
         *_of_mail("email_id", "emails")),
    Rule("email_troubles", "folder_id uidvalidity uid attempts next_at error_code at", "",
         *_of_mail("folder_id", "mailbox_folders")),
    Rule(
        "emails",
        "id business_id mailbox_id has_message_id sha256 header_sha256 size listed_size state"
        " attempts faults direction nature internal_date sent_at parent_id thread_id customer_id"
        " candidates lead_id answers inbound_id settled_at created_at",
        "message_id raw_key subject from_email from_name recipients in_reply_to refs bounce"
        " correspondent subject_key text html snippet",
        (*child("mailbox_id", "mailboxes", _HERS), _THEIRS),
        _ALL,
    ),
    Rule(
        "mailbox_folders",
        "id mailbox_id special state uidvalidity last_uid seen_exists seen_uidnext highestmodseq"
        " checked_at resets reset_at failures parked_until error_code",
        "path error",
        child("mailbox_id", "mailboxes", _HERS),
        child("mailbox_id", "mailboxes"),
    ),
    Rule(
        "mailboxes",
        "id business_id host port security auth token_issuer renewing_until since pause_replies"
        " created_at state next_sync_at synced_at failures failing_since refusals refused_since"
        " error_code told_code fence held_until deaths",
        "address owner_email username credentials folders error",
        (
            Erase(f"{_B} AND lower(t.address) = g.email"),
            Detach(
                f"{_B} AND lower(t.owner_email) = g.email AND lower(t.address) <> g.email",
                {"owner_email": "NULL"},
            ),
        ),
        _ALL,
    ),
    # The user's own.
    Rule("agenda_told", "id business_id kind subject cycle notice at told_at resolved_at",
         "user_id", _OWN, _ALL),
    Rule("notifications",
         "business_id id kind subject cycle link created_at read_at resolved_at",
         "user_id title body", _OWN, _ALL),
    Rule("closer_link_revocations", "business_id revoked_at", "user_id revoked_by", _OWN, _ALL),
    Rule("stored_files", "business_id id created_at", "user_id storage_key name", _OWN, _ALL),
    Rule("user_tokens", "business_id id token_type created_at", "user_id", _OWN, _ALL),
    Rule("user_preferences", "business_id email digest digest_at appointment_offsets", "user_id",
         _OWN, _ALL),
    Rule(
        "appointments",
        "business_id id customer_id starts_at ends_at status offsets created_at updated_at",
        "title user_id location", _OWN, _ALL,
    ),
    Rule(
        "tasks",
        "business_id id customer_id due_on due_at status critical snoozed_until overdue_told_at"
        " created_at updated_at",
        "title user_id",
        # What is to be done for a customer is the business's; the rest was for oneself.
        (
            Erase(f"{_U} AND t.customer_id IS NULL"),
            Detach(f"{_U} AND t.customer_id IS NOT NULL", {"user_id": "NULL"}),
        ),
        _ALL,
    ),
    # The business's.
    Rule(
        "lead_followups",
        "id business_id lead_id cycle number mode state due_at proposed_at opened_at settled_at"
        " reason expires_at run_id",
        "closer_id phone content settled_by",
        (
            Detach(f"{_B} AND t.closer_id = g.user_id", {"closer_id": "NULL"}),
            *by("settled_by"),
        ),
        _ALL,
    ),
    Rule(
        "leads",
        "business_id id stage stage_since status zone auto_enabled opted_out replied_at followups"
        " last_followup_at created_at updated_at",
        "name phone whatsapp_user_id email closer_id",
        (Detach(f"{_B} AND t.closer_id = g.user_id", {"closer_id": "NULL"}),),
        _ALL,
    ),
    Rule("lead_cadences", "business_id stage number delay_hours variant", business=_ALL),
    Rule("lead_settings", "business_id followups_enabled mode daily_cap window_start window_end"
         " business_days_only expire_hours", business=_ALL),
    Rule("followup_decisions", "business_id document document_id cycle level decision decided_at",
         "decided_by reason", by("decided_by"), _ALL),
    Rule("followup_levels", "business_id policy document level anchor delay_days channel tone"
         " attach_pdf", business=_ALL),
    Rule("billing_settings", "business_id followups_enabled group_by_customer min_interval_days"
         " tolerance courtesy_days window_start window_end business_days_only payments_synced_at"
         " max_payment_age_hours late_penalty_rate", business=_ALL),
    Rule("sending_limits", "business_id channel per_day person_per_day person_per_week set_at",
         "set_by", by("set_by"), _ALL),
    Rule("go_lives", "business_id kind at", "by reason", by("by"), _ALL),
    Rule("whatsapp_senders", "provider business_id set_at", "sender set_by", by("set_by"), _ALL),
    Rule("whatsapp_templates", "business_id provider kind variant name language set_at", "set_by",
         by("set_by"), _ALL),
    Rule(
        "invoices",
        "business_id id customer_id status issued_on due_on currency total balance disputed"
        " promised_until auto_enabled policy cycle reopened_on updated_at",
        "number pdf_key",
        business=(Archive(_B),),
    ),
    Rule("quotes", "business_id id customer_id status issued_on valid_until currency total"
         " auto_enabled policy version updated_at", "number pdf_key", business=(Archive(_B),)),
    Rule("customer_phones", "business_id customer_id", "phone whatsapp_user_id", business=_ALL),
    Rule("customers", "business_id id customer_type policy auto_enabled paused_until insolvency",
         "name emails", business=_ALL),
    # What jobs have noted.
    Rule("run_items", "run_id step position business_id", "item",
         (Erase(f"{_B} AND t.item = g.user_id AND EXISTS (SELECT 1 FROM ponctuel.runs r"
                " WHERE r.id = t.run_id AND r.job = 'account_deletions')"),), _ALL),
    Rule("run_errors", "run_id at step business_id code", "item error",
         (Erase(f"{_B} AND t.item = g.user_id AND EXISTS (SELECT 1 FROM ponctuel.runs r"
                " WHERE r.id = t.run_id AND r.job = 'account_deletions')"),), _ALL),
    Rule("quarantine", "job step business_id run_id at reason released_at", "item released_by",
         (Erase(f"{_B} AND t.job = 'account_deletions' AND t.item = g.user_id"),), _ALL),
    Rule("runs", f"id number {_SLOT} created_at started_at heartbeat_at finished_at step position"
         " attempt batch_limit failures hops counts error_code error",
         "requested_by results report", (_REPORTS,), (_REPORTS,)),
    # Last: who it was.
    Rule("users", "business_id id role zone active deletion_scheduled_at created_at",
         "name email phone stripe_customer_id", (Erase(f"{_B} AND t.id = g.user_id"),), _ALL),
    Rule("businesses", "id zone subdivision active",
         "name sender_name sender_email reply_to phone address siret iban",
         business=(Erase("t.id = g.business_id"),)),
    Rule(
        "account_deletions",
        "id business_id scope state requested_at scheduled_at zone wanted_at postponed"
        " cancelled_at blocked_at blocked_reason approved_at locked_at erased_at step attempts"
        " next_attempt_at error_code leased_until lease pseudonym",
        "user_id requested_by cancelled_by approved_by",
        kept="the tombstone: ids alone, to erase again what a backup brings back",
    ),
    Rule("legal_holds", "id business_id lifted_at", "user_id",
         kept="why somebody was not erased; ids alone"),
    # Of nobody.
    Rule("api_waits", "id run_id until"),
    Rule("channel_states", "channel business_id tokens tokens_at failures opened_at openings"
         " trial_at", business=_ALL),
    Rule("deployment", "one id claims"),
    Rule("job_state", "job zone covered_through fence lease_holder lease_until run_id retry_at"
         " rerun_id paused_at", "paused_by pause_reason",
         kept="the operators of the deployment, not its users"),
    Rule("refused_calls", "id at path code", "caller",
         kept="who was refused is not known to be anybody"),
    Rule("sandbox_clock", "singleton offset"),
    Rule("schema_versions", "version_num"),
)  # fmt: skip


def undecided(scope: Scope) -> dict[str, list[str]]:
    """What stands in the way of erasing in that scope: table → reasons."""
    found = {
        rule.table: [one.why for one in rule.actions(scope) if isinstance(one, Undecided)]
        for rule in RULES
    }
    return {table: reasons for table, reasons in found.items() if reasons}
