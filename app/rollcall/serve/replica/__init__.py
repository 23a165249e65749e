"""The rosters in one SQLite file: its content, its follower of the topics, its readers."""
