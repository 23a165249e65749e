"""A real Kafka broker on this machine: one node, one Java process, for development, the demo and
the tests.

Only the standard library is used here (and errors.py, resources.py): ``make`` asks this package
about Java and Maven before there is a venv.
"""

from rollcall.sandbox.broker.embedded import BrokerStatus, EmbeddedBroker

__all__ = ["BrokerStatus", "EmbeddedBroker"]
