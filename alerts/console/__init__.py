"""The operators' console: a NiceGUI client of the service layer, mounted on the API's own app.

One :class:`~alerts.console.board.Board` per process reads what changed, once, and sends each browser
only the difference; the pages keep no query and no timer of their own. See ``docs/adr/0002``.
"""
