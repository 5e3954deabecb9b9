"""What a user would run instead, over the same engine, and the comparison with ours.

`python -m loadtest.peers.bench` (or `make peers`) compares; each peer also starts by itself:
`python -m loadtest.peers.handwritten --port 8081`, `python -m loadtest.peers.litserve_server`.
"""
