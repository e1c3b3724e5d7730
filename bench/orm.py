"""Planning against what most cron scripts do: a loop over ORM entities.

Written as a competent author would who has no reason to hurry: the due invoices by one query, and
for each its customer, its business's settings and levels, its history and the customer's last
contact through the session (whose identity map saves the repeats), one entity added, one flush per
invoice. It decides less than the job does. It is run on a sample of the invoices and compared per
message.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Engine, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench import planning
from bench.database import Server, forget_runs
from bench.measure import Measure, seconds

GOAL = 20.0
SAMPLED = 2_000
KIND = "billing.invoice_followup"


class Entity(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSONB}  # noqa: RUF012 - SQLAlchemy's own way to declare it


class Settings(Entity):
    __tablename__ = "billing_settings"
    __table_args__ = {"schema": "ponctuel"}  # noqa: RUF012 - SQLAlchemy's own way to declare it
    business_id: Mapped[str] = mapped_column(primary_key=True)
    followups_enabled: Mapped[bool]
    min_interval_days: Mapped[int]
    tolerance: Mapped[Decimal]


class Level(Entity):
    __tablename__ = "followup_levels"
    __table_args__ = {"schema": "ponctuel"}  # noqa: RUF012 - SQLAlchemy's own way to declare it
    business_id: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[str] = mapped_column(primary_key=True)
    policy: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True)
    delay_days: Mapped[int]
    tone: Mapped[str]


class Customer(Entity):
    __tablename__ = "customers"
    __table_args__ = {"schema": "ponctuel"}  # noqa: RUF012 - SQLAlchemy's own way to declare it
    business_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    emails: Mapped[str | None]
    auto_enabled: Mapped[bool]


class Invoice(Entity):
    __tablename__ = "invoices"
    __table_args__ = {"schema": "ponctuel"}  # noqa: RUF012 - SQLAlchemy's own way to declare it
    business_id: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str]
    customer_id: Mapped[str]
    status: Mapped[str]
    due_on: Mapped[date]
    balance: Mapped[Decimal]
    disputed: Mapped[bool]
    auto_enabled: Mapped[bool]


class Message(Entity):
    __tablename__ = "messages"
    __table_args__ = {"schema": "ponctuel"}  # noqa: RUF012 - SQLAlchemy's own way to declare it
    id: Mapped[int] = mapped_column(primary_key=True)
    business_id: Mapped[str]
    kind: Mapped[str]
    subject: Mapped[str]
    step: Mapped[str]
    channel: Mapped[str]
    person: Mapped[str]
    recipient: Mapped[str]
    content: Mapped[dict[str, Any]]
    state: Mapped[str]
    planned_at: Mapped[datetime] = mapped_column()
    not_before: Mapped[datetime] = mapped_column()
    expires_at: Mapped[datetime] = mapped_column()
    run_id: Mapped[UUID]


def measure(server: Server, *, quick: bool) -> Iterator[Measure]:
    """How many times longer the loop takes per message than the job's run, once per round."""
    sample, sampled, rounds = (planning.SMALL, 200, 2) if quick else (planning.MILLION, SAMPLED, 3)
    engine = server.engine(sample)
    loops, ours = [], []
    for _ in range(rounds):
        loops.append(loop(engine, sampled) / sampled * sample.due)
        ours.append(planning.run(engine, sample))
    yield Measure(
        f"an ORM loop over them (measured on {sampled}) / planning {sample.due} due",
        [theirs / mine for theirs, mine in zip(loops, ours, strict=True)],
        "×",
        None if quick else GOAL,
        f"{seconds(loops)} / {seconds(ours)}",
        bound="at least",
    )


def loop(engine: Engine, count: int) -> float:
    """Seconds for the first `count` invoices that are due, commit included."""
    forget_runs(engine)
    now = datetime.now(UTC)
    run_id = uuid4()
    start = time.perf_counter()
    with Session(engine) as session:
        due = select(Invoice).where(
            Invoice.status.in_(("sent", "partial", "overdue")),
            Invoice.auto_enabled,
            Invoice.balance > 0,
            Invoice.due_on <= now.date() - timedelta(days=10),
        )
        planned = sum(
            _relance(session, invoice, run_id, now) for invoice in session.scalars(due.limit(count))
        )
        session.commit()
    assert planned == count, planned
    return time.perf_counter() - start


def _relance(session: Session, invoice: Invoice, run_id: UUID, now: datetime) -> bool:
    business = session.get_one(Settings, invoice.business_id)
    customer = session.get(Customer, (invoice.business_id, invoice.customer_id))
    if not business.followups_enabled or invoice.disputed or invoice.balance <= business.tolerance:
        return False
    if customer is None or not customer.auto_enabled or not customer.emails:
        return False
    sent = session.scalars(
        select(Message).where(
            Message.business_id == invoice.business_id,
            Message.kind == KIND,
            Message.subject == invoice.id,
        )
    ).all()
    contacted = session.scalar(
        select(func.max(Message.planned_at)).where(
            Message.business_id == invoice.business_id, Message.person == customer.id
        )
    )
    if contacted and contacted > now - timedelta(days=business.min_interval_days):
        return False
    last = max((int(message.step) for message in sent), default=0)
    level = session.get(Level, (invoice.business_id, "invoice", "standard", last + 1))
    if level is None or invoice.due_on + timedelta(days=level.delay_days) > now.date():
        return False
    content = {
        "document": "invoice",
        "number": invoice.number,
        "level": level.level,
        "tone": level.tone,
        "remaining": str(invoice.balance),
        "currency": "EUR",
    }
    session.add(
        Message(
            business_id=invoice.business_id,
            kind=KIND,
            subject=invoice.id,
            step=str(level.level),
            channel="email",
            person=customer.id,
            recipient=customer.emails,
            content=content,
            state="planned",
            planned_at=now,
            not_before=now,
            expires_at=now + timedelta(days=7),
            run_id=run_id,
        )
    )
    session.flush()
    return True
