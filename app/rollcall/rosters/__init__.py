"""The roster application: current rosters as tables, each row with its state and the reason."""
