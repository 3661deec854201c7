"""The write side: commands, decisions and the event log. No HTTP, no terminal."""
