"""An embedded Kafka broker: one node, one Java process, for development, demo and tests.

Imports only the standard library, errors.py and resources.py: ``make`` uses this package to check
Java and Maven before the venv exists.
"""

from rollcall.sandbox.broker.embedded import BrokerStatus, EmbeddedBroker

__all__ = ["BrokerStatus", "EmbeddedBroker"]
