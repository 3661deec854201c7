"""The commands: one module per noun, imported when the noun is typed."""
