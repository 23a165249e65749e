"""The compiled recogniser of valid events, and what it knows of a schema."""
