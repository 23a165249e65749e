"""``rollcall demo``: events go in, typed topics come out, and everything is counted.

One module for each concern: ``ledger`` (pure: what was sent against what was found), ``report`` (pure: how it is shown), ``screen`` (the terminal),
``cluster`` (the broker and the demo's topics), ``router_process``, ``reading`` (what is on the topics), ``interrupts``, and ``run``, which puts them together.
"""
