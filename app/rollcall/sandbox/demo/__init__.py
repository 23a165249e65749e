"""``rollcall demo``: sends events, reads typed topics and rosters, and compares everything.

Pure modules: ``ledger`` (counts of sent and found records), ``rosters`` (expected and found rows),
``metrics`` (metrics of the processes), ``report``, ``roster_report`` and ``reconcile_report``
(output). Modules with I/O: ``institution`` (a simulated institution), ``cluster`` (the broker and
the demo's topics), ``reconciling`` (``rollcall reconcile`` against the institution's REST API),
``watching`` (waiting for the processes), ``reading`` and ``view`` (records on the topics),
``roster_request`` (a request to serve), ``screen`` (the terminal), ``interrupts``. ``work`` runs
all steps in order, and ``run`` shows the results.
"""
