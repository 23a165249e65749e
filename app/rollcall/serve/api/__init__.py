"""The part of Canvas's REST API that reads rosters, with the same paths, parameters and objects."""
