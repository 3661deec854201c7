"""The command line: a typed client, its profiles, the embedded store, and one module per noun."""
