"""Process-wide patches of aiokafka 0.14. Importing this package applies all of them, here;
:mod:`rollcall.kafka.client` imports it.

The modules beside this one define them, one module for each part of aiokafka. Each patch names the
line of aiokafka that it corrects, the upstream issue if there is one, the reason, and the test that
fails without it. A patch may go when that test passes without it on a newer aiokafka.
``tests/streaming/faust/test_upstream.py`` fails when a patched function changes. Patches of single
objects stand beside the code that makes the object (``app/rollcall/streaming/failures.py``,
``app/rollcall/kafka/decoding.py``).
"""

from aiokafka import conn
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import consumer, fetcher
from aiokafka.producer import producer
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.transaction_manager import TransactionManager
from aiokafka.protocol.metadata import MetadataRequest

from rollcall.kafka.decoding import RetainedRecords
from rollcall.kafka.patches.clients import (
    build_metadata_request,
    get_conn,
    get_random_node,
    hosts,
    metadata_update,
    recording_brokers,
    with_pause,
)
from rollcall.kafka.patches.connections import (
    Connection,
    OAuthAuthenticator,
    Protocol,
    closing_first_connections,
)
from rollcall.kafka.patches.fetchers import close_fetcher, set_error
from rollcall.kafka.patches.groups import GroupCoordinator
from rollcall.kafka.patches.producers import MessageAccumulator, Sender, with_retrieved_exceptions
from rollcall.kafka.patches.transactional_requests import (
    TRANSACTIONAL_HANDLERS,
    do_without_repeating,
    transactional_answer,
)

conn.OAuthAuthenticator = OAuthAuthenticator
conn.AIOKafkaProtocol = Protocol
conn.AIOKafkaConnection = Connection

AIOKafkaClient.get_random_node = get_random_node
AIOKafkaClient._get_conn = get_conn
AIOKafkaClient.hosts = property(hosts)
AIOKafkaClient.bootstrap = recording_brokers(closing_first_connections(AIOKafkaClient.bootstrap))
AIOKafkaClient._metadata_update = with_pause(recording_brokers(metadata_update))
MetadataRequest.build = build_metadata_request(MetadataRequest.build)

for _handler in TRANSACTIONAL_HANDLERS:
    _handler.handle_response = transactional_answer(_handler.handle_response)
    _handler.do = do_without_repeating

producer.Sender = Sender
producer.MessageAccumulator = MessageAccumulator
MessageBatch.failure = with_retrieved_exceptions(MessageBatch.failure)
TransactionManager.error_transaction = with_retrieved_exceptions(
    TransactionManager.error_transaction
)
TransactionManager.fatal_error = with_retrieved_exceptions(TransactionManager.fatal_error)

fetcher.Fetcher.close = close_fetcher
fetcher.Fetcher._set_error = set_error
fetcher.MemoryRecords = RetainedRecords

consumer.GroupCoordinator = GroupCoordinator
