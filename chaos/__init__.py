"""Breaks a running service on purpose, under load, and says what became of every request."""
