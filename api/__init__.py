"""The thin HTTP side: parse, verify, decide, answer."""
