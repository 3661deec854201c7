"""Commands, events and decide functions, one module an aggregate."""
