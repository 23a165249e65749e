"""Keyed stages and their tables: what a stage is, what runs it, and what loads its rows."""
