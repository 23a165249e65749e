"""Canvas's REST API, as far as it reads rosters: the same paths, parameters and objects, answered
from the replica.
"""
