"""The SQL of an import. Each takes one array of text per column, cast inside: a chunk is one
statement, and what the file does not say is null."""

from __future__ import annotations

INVOICE_COLUMNS = (
    "id", "spare_id", "number", "customer_id", "status", "disputed", "issued_on", "due_on",
    "currency", "total", "balance", "pdf_key",
)  # fmt: skip
_STATED = f"""
SELECT id, spare_id, number, customer_id, status, CAST(disputed AS boolean) AS disputed,
       CAST(issued_on AS date) AS issued_on, CAST(due_on AS date) AS due_on, currency,
       CAST(total AS numeric) AS total, CAST(balance AS numeric) AS balance, pdf_key
  FROM unnest({", ".join(f"CAST(:{column} AS text[])" for column in INVOICE_COLUMNS)})
    AS n({", ".join(INVOICE_COLUMNS)})
"""
# Column → what it becomes, from the row it has (i) and what the file says (n).
# An invoice that we know to be overdue stays so for a file that only says that it is unpaid:
# otherwise each import would announce it again.
_MERGED = {
    "customer_id": "n.customer_id",
    "status": """CASE WHEN i.status = 'overdue' AND n.status IN ('sent','partial')
                       AND i.due_on IS NOT DISTINCT FROM COALESCE(n.due_on, i.due_on)
                      THEN 'overdue' ELSE n.status END""",
    "disputed": "i.disputed OR n.disputed",
    "issued_on": "COALESCE(n.issued_on, i.issued_on)",
    "due_on": "COALESCE(n.due_on, i.due_on)",
    "currency": "COALESCE(n.currency, i.currency)",
    "total": "n.total",
    "balance": "n.balance",
    "pdf_key": "COALESCE(n.pdf_key, i.pdf_key)",
}
_CHANGED = (
    f"({', '.join(f'i.{column}' for column in _MERGED)}) IS DISTINCT FROM "
    f"({', '.join(_MERGED.values())})"
)
COUNT = f"""
SELECT count(*) AS existing, count(*) FILTER (WHERE {_CHANGED}) AS changed
  FROM ({_STATED}) n JOIN ponctuel.invoices i ON i.business_id = :business AND i.number = n.number
"""
UPDATE = f"""
UPDATE ponctuel.invoices AS i
   SET {", ".join(f"{column} = {merged}" for column, merged in _MERGED.items())},
       updated_at = ponctuel.clock()
  FROM ({_STATED}) n
 WHERE i.business_id = :business AND i.number = n.number AND {_CHANGED}
"""
# An id may be taken by an invoice that was renumbered since.
INSERT = f"""
INSERT INTO ponctuel.invoices (business_id, id, number, customer_id, status, disputed, issued_on,
                               due_on, currency, total, balance, pdf_key, updated_at)
SELECT :business,
       CASE WHEN EXISTS (SELECT 1 FROM ponctuel.invoices t
                          WHERE t.business_id = :business AND t.id = n.id)
            THEN n.spare_id ELSE n.id END,
       n.number, n.customer_id, n.status, n.disputed, n.issued_on, n.due_on,
       COALESCE(n.currency, 'EUR'), n.total, n.balance, n.pdf_key, ponctuel.clock()
  FROM ({_STATED}) n
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.invoices i
                    WHERE i.business_id = :business AND i.number = n.number)
"""

CUSTOMER_COLUMNS = ("id", "name", "stated_name", "emails", "customer_type")
_STATED_CUSTOMERS = f"""
SELECT * FROM unnest({", ".join(f"CAST(:{column} AS text[])" for column in CUSTOMER_COLUMNS)})
    AS n({", ".join(CUSTOMER_COLUMNS)})
"""
UPDATE_CUSTOMERS = f"""
UPDATE ponctuel.customers AS c
   SET name = COALESCE(n.stated_name, c.name), emails = COALESCE(n.emails, c.emails),
       customer_type = COALESCE(n.customer_type, c.customer_type)
  FROM ({_STATED_CUSTOMERS}) n
 WHERE c.business_id = :business AND c.id = n.id
   AND (c.name, c.emails, c.customer_type) IS DISTINCT FROM
       (COALESCE(n.stated_name, c.name), COALESCE(n.emails, c.emails),
        COALESCE(n.customer_type, c.customer_type))
"""
INSERT_CUSTOMERS = f"""
INSERT INTO ponctuel.customers (business_id, id, name, emails, customer_type)
SELECT :business, n.id, n.name, n.emails, n.customer_type FROM ({_STATED_CUSTOMERS}) n
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.customers c
                    WHERE c.business_id = :business AND c.id = n.id)
"""
_STATED_PHONES = "SELECT * FROM unnest(CAST(:id AS text[]), CAST(:phone AS text[])) AS n(id, phone)"
UPDATE_PHONES = f"""
UPDATE ponctuel.customer_phones AS p SET phone = n.phone FROM ({_STATED_PHONES}) n
 WHERE p.business_id = :business AND p.customer_id = n.id AND p.phone IS DISTINCT FROM n.phone
"""
INSERT_PHONES = f"""
INSERT INTO ponctuel.customer_phones (business_id, customer_id, phone)
SELECT :business, n.id, n.phone FROM ({_STATED_PHONES}) n
 WHERE NOT EXISTS (SELECT 1 FROM ponctuel.customer_phones p
                    WHERE p.business_id = :business AND p.customer_id = n.id)
"""
KNOWN_CUSTOMERS = """
SELECT id, name, emails FROM ponctuel.customers WHERE business_id = :business ORDER BY id
"""
