"""A model of Canvas that simulates an institution: the events that Canvas would emit, and the
expected rosters.

Unlike the traffic of traffic.py, one event follows from another: people are enrolled, invited,
concluded and enrolled again, sections move, courses end and come back. What Canvas changes in bulk,
without an event, changes silently here, too.

    simulation = Simulation(SimulationPlan(courses=20, steps=5_000))
    for event in simulation.events(): ...
    rosters = simulation.truth()
"""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent, SimulationPlan
from rollcall.sandbox.canvas.simulation.simulation import Simulation

__all__ = ["SimulatedEvent", "Simulation", "SimulationPlan"]
