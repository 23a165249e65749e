"""Simulates an institution: the events that Canvas would emit, and the expected rosters.

Unlike in the traffic of traffic.py, the events form histories: users are enrolled, concluded and
enrolled again, sections move, courses end and are restored. Canvas's bulk changes emit no event
here either.

    simulation = Simulation(SimulationPlan(courses=20, steps=5_000))
    for event in simulation.events(): ...
    rosters = simulation.truth()
"""

from __future__ import annotations

from rollcall.sandbox.canvas.simulation.plan import SimulatedEvent, SimulationPlan
from rollcall.sandbox.canvas.simulation.simulation import Simulation

__all__ = ["SimulatedEvent", "Simulation", "SimulationPlan"]
