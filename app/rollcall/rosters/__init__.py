"""The roster application: what Canvas said, as tables of who is where now, and why."""
