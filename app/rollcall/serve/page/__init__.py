"""The page: the flow, courses with their changing rosters, and the last dead letters.

Static HTML and one script are in ``static/``.
"""
