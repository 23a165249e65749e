"""The page of serve: the flow, courses with their rosters as they change, and the last dead
letters. Plain HTML and one script, in static/.
"""
