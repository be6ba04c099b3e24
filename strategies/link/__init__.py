"""The SuperLink's two doors: a private socket for its own user, and a port for owners' SuperNodes alone.

    SuperNodes ── TLS ── gate.py ── front.py ─┐
                                              ├── Flower's app: Fleet, Control and Runtime APIs
    flwr, ServerApp ── private.py ── socket ──┘

Flower serves all three on one port. With the Control and the Runtime API goes the right to run code
as the SuperLink's user, so these stay on a Unix socket that no other user can open.
"""
