"""Measures a broker over its wire, and what the same machine could answer at all.

The load generator is a client like any other: it signs, sends, reads and signs again. It knows the
broker only by its protocol, so that one driver measures any server that speaks it.
"""
