"""The rosters for people and programs that do not speak Kafka: a replica in SQLite, Canvas's API on
it, and a page.
"""
