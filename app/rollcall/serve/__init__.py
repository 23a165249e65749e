"""The rosters over HTTP: a replica in SQLite, Canvas's API, and a page."""
