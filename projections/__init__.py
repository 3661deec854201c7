"""The read side: folds from events to rows, and the ways to read rows back."""
