"""The read side: folds from events to rows, and the ways to read rows back."""

from projections.functions import FUNCTIONS

ASYNC = (FUNCTIONS,)
"""The projections that projectors drive."""
