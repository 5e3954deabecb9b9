"""Triton: the client that asks it, and the server started beside us when none is deployed."""
