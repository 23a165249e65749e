"""The page: the flow, courses with their changing rosters, and the last dead letters.

Static HTML and its scripts, one for each view, are in ``static/``.
"""
