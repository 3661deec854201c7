"""What clients and servers agree on without being told; it loads nothing else."""

DEFAULT_PORT = 50080
