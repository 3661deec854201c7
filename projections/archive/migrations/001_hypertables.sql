-- The same tables as hypertables of TimescaleDB, a week a chunk.

SELECT create_hypertable('colonies.events', 'at', chunk_time_interval => interval '7 days');
SELECT create_hypertable('colonies.lines', 'at', chunk_time_interval => interval '7 days');
