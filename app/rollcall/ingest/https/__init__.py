"""Canvas's signed webhook: JWTs over HTTPS, verified and sent to the raw topic."""
