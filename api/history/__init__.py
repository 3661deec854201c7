"""The log as a product: what ``colonies history`` asks of a store, beside the servers on it."""
