"""What clients and servers agree on without being told; it loads nothing else."""

DEFAULT_PORT = 50080
LOG_RETENTION_S = 30 * 24 * 3600
