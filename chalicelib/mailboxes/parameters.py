"""The mailbox, folder and UIDVALIDITY that a statement is about, kept from the planner.

PostgreSQL's statistics know nothing of a mailbox that is just being read for the first time: with
its id before its eyes, the planner expects no e-mail there, and then reads all of them anew for
each one that it looks up (15 seconds instead of 0.1 for 3,000 e-mails). As the result of a
subquery, it expects what an average mailbox has.
"""

MAILBOX = "(SELECT CAST(:mailbox_id AS bigint))"
FOLDER = "(SELECT CAST(:folder_id AS bigint))"
UIDVALIDITY = "(SELECT CAST(:uidvalidity AS bigint))"
