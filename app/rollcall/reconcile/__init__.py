"""Compares the rosters with Canvas, and writes what differs as snapshot events."""
