"""ASGI middlewares around the application, one concern each. :mod:`.stack` declares their order."""
