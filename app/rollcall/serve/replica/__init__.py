"""The rosters in one SQLite file: what it holds, how it follows the topics, how it is read."""
