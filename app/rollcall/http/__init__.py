"""Parts of HTTP servers: limits for clients, and ASGI middlewares with one concern each."""
