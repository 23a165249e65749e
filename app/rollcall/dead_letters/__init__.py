"""Records that were set aside, on the topic of dead letters or on that of unknown events: found,
counted, shown, written out, and sent again.
"""
