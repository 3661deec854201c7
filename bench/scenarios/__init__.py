"""The scenarios; each measures one question on one target at a time."""
