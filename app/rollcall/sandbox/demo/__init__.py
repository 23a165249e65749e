"""``rollcall demo``: events go in, typed topics and rosters come out, and everything is counted and
compared.

One module for each concern. Pure: ``ledger`` (what was sent against what was found), ``rosters``
(what must be there against what is), ``metrics`` (what the processes say), ``report`` and
``roster_report`` (how it is shown). The world: ``institution`` (a simulated one, of which a story
is told), ``cluster`` (the broker and the demo's topics), ``watching`` (waiting for the processes),
``reading`` and ``view`` (what is on the topics), ``screen`` (the terminal), ``interrupts``.
``work`` does it all in its order, and ``run`` shows what came of it.
"""
