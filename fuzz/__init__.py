"""Hostile input, by the tens of thousands: `make fuzz`.

Each part makes inputs of its own kind from a seed, gives them to the service, and counts what it
must never do: fail with a 5xx, answer what the OpenAPI document does not know, let in who has no
key, hang, or crash.
"""
