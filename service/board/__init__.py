"""The live board: the service's own numbers over the last minutes, for people to look at."""
