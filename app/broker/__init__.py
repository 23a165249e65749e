"""A real Kafka broker on this machine: one node, one Java process, for development, the demo and the tests.

Only the standard library is used here (and app/errors.py, app/resources.py): ``make`` asks this package about Java and Maven before there is a venv.
"""

from app.broker.embedded import BrokerStatus, EmbeddedBroker

__all__ = ["BrokerStatus", "EmbeddedBroker"]
