-- The same tables as hypertables of TimescaleDB, a week a chunk. Their indexes are those of the
-- plain tables: one of the time alone would be written with each row, and asked by nobody.

SELECT create_hypertable('colonies.events', 'at', chunk_time_interval => interval '7 days', create_default_indexes => false);
SELECT create_hypertable('colonies.lines', 'at', chunk_time_interval => interval '7 days', create_default_indexes => false);
