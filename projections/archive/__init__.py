"""The archive: every event and log line of a store, kept in PostgreSQL.

What speaks to PostgreSQL is in here and needs the extra ``archive``; ``projections.archiving`` is
the way in for whoever may do without.
"""
