"""Dead letters and unknown events: select, count, show, export, and replay stored records."""
