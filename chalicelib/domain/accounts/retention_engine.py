"""The engine, and what is remembered of accounts, the agenda and leads.

`retention_rules` tells what is declared of each table. The order is that of erasing.
"""

from __future__ import annotations

from typing import Final

from chalicelib.domain.accounts.retention_rules import Table

TABLES: Final = (
    Table(
        "closer_link_revocations",
        user="t.user_id = :user",
        phase="parent",
        personal="user_id",
        plain="business_id revoked_at revoked_by",
    ),
    Table(
        "agenda_told",
        user="t.user_id = :user",
        personal="user_id",
        plain="id business_id kind subject cycle notice at told_at resolved_at",
    ),
    Table(
        "lead_followups",
        detach={
            "closer_id": (
                "NULL",
                "t.closer_id = :user",
            ),
            "settled_by": (
                "'closer'",
                "t.settled_by = 'closer:' || :user",
            ),
        },
        personal="closer_id settled_by phone",
        kept={
            "content": ("a text to a lead of the business"),
        },
        plain=(
            "id business_id lead_id cycle number mode state due_at proposed_at opened_at "
            "settled_at reason expires_at run_id"
        ),
    ),
    Table(
        "go_lives",
        kept={
            "by reason": ("who let messages leave: an operator"),
        },
        plain="business_id kind at",
    ),
    Table(
        "sending_limits",
        kept={
            "set_by": ("an operator"),
        },
        plain="business_id channel per_day person_per_day person_per_week set_at",
    ),
    Table(
        "whatsapp_templates",
        kept={
            "set_by": ("an operator"),
        },
        plain="business_id provider kind variant name language set_at",
    ),
    Table(
        "whatsapp_senders",
        kept={
            "set_by": ("an operator"),
        },
        plain="provider sender business_id set_at",
    ),
    Table(
        "channel_states",
        plain="channel business_id tokens tokens_at failures opened_at openings trial_at",
    ),
    Table(
        "quarantine",
        user="t.job = 'account_deletions' AND t.item = :user",
        phase="parent",
        personal="item",
        plain="job step business_id run_id at reason released_at released_by",
    ),
    Table(
        "run_errors",
        user=(
            "t.item = :user AND t.run_id IN (SELECT r.id FROM ponctuel.runs r WHERE r.job "
            "= 'account_deletions')"
        ),
        phase="parent",
        personal="item",
        plain="run_id at step business_id code error",
    ),
    Table(
        "run_items",
        user=(
            "(t.item = :user OR CAST(:scope AS text) = 'business') AND t.run_id IN (SELECT r.id "
            "FROM ponctuel.runs r WHERE r.job = 'account_deletions' AND r.finished_at IS NOT NULL)"
        ),
        survives=True,
        personal="item",
        plain="run_id step position business_id",
    ),
    Table(
        "legal_holds",
        detach={
            "user_id": (
                "'#' || CAST(:deletion AS text)",
                (
                    "(t.user_id = :user OR (CAST(:scope AS text) = 'business' "
                    "AND t.user_id NOT LIKE '#%'))"
                ),
            ),
        },
        survives=True,
        personal="user_id",
        kept={
            "reason lift_reason": ("why somebody was not erased for a time: a file's number"),
            "placed_by lifted_by": ("an operator"),
        },
        plain="id business_id placed_at lifted_at",
    ),
    Table(
        "archive_accesses",
        survives=True,
        kept={
            "accessed_by role": ("who read the archive: an operator"),
            "reason": ("why: an operator's words"),
        },
        plain="id at action business_id archive_id",
    ),
    Table(
        "erasure_tombstones",
        survives=True,
        plain=(
            "key business_id deletion_id scope account secret account_created_at locked_at kept_at"
        ),
    ),
    Table(
        "accounting_archive",
        survives=True,
        kept={
            "content pdf_key": ("kept ten years by the Code de commerce, L123-22"),
        },
        plain=(
            "id deletion_id business_id document document_id number issued_on keep_until "
            "archived_at"
        ),
    ),
    Table(
        "account_deletions",
        survives=True,
        personal="user_id",
        plain=(
            "id business_id scope state requested_at requested_by scheduled_at zone "
            "wanted_at postponed cancelled_at cancelled_by blocked_at blocked_reason "
            "approved_at approved_by locked_at erased_at step attempts next_attempt_at "
            "error_code leased_until lease pseudonym"
        ),
    ),
    Table(
        "erasure_receipts",
        through=("account_deletions x",),
        of="x.id = t.deletion_id AND x.business_id = :business",
        survives=True,
        plain="deletion_id step counts done_at",
    ),
    Table(
        "erasure_files",
        through=("account_deletions x",),
        of="x.id = t.deletion_id AND x.business_id = :business",
        survives=True,
        kept={
            "storage_key": ("gone with the document, before the account is"),
        },
        plain="deletion_id",
    ),
    Table(
        "runs",
        of="",
        survives=True,
        plain=(
            "id number job zone door requested_by reason slot_from slot_to now_at as_of "
            "dry_run force operator status created_at started_at heartbeat_at finished_at "
            "step position attempt batch_limit failures hops counts results report "
            "error_code error"
        ),
        why=("the engine's: job, times, counts; a dry run's report is pruned by ledger_retention"),
    ),
    Table(
        "job_state",
        of="",
        survives=True,
        plain=(
            "job zone covered_through fence lease_holder lease_until run_id retry_at "
            "rerun_id paused_at paused_by pause_reason"
        ),
        why="the engine's",
    ),
    Table(
        "api_waits",
        of="",
        survives=True,
        plain="id run_id until",
        why="the engine's",
    ),
    Table(
        "refused_calls",
        of="",
        survives=True,
        plain="id at path caller code",
        why="keyed hashes of callers",
    ),
    Table(
        "deployment",
        of="",
        survives=True,
        plain="one id claims",
        why="the deployment's",
    ),
    Table(
        "sandbox_clock",
        of="",
        survives=True,
        plain="singleton offset",
        why="of the sandbox",
    ),
    Table(
        "schema_versions",
        of="",
        survives=True,
        plain="version_num",
        why="of the migrations",
    ),
    Table(
        "webhook_events",
        of="",
        survives=True,
        personal="payload reference provider_id",
        plain="event_key provider type at received_at message_id outcome",
        why=(
            "a provider's events name messages, not accounts; pruned by ledger_retention, "
            "but for opt-outs, which survive as suppressions do"
        ),
    ),
)
