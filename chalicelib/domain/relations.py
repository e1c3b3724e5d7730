"""Every relation of the domain: what `./ponctuel check` compares somebody's views with."""

from __future__ import annotations

from chalicelib.domain.accounts.relations import RELATIONS as ACCOUNTS
from chalicelib.domain.agenda.relations import RELATIONS as AGENDA
from chalicelib.domain.billing.relations import RELATIONS as BILLING
from chalicelib.domain.leads.relations import RELATIONS as LEADS

RELATIONS = (*BILLING, *ACCOUNTS, *AGENDA, *LEADS)
