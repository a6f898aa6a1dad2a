"""Handlers: one file a noun."""
