"""One coroutine a message, grouped by noun."""
