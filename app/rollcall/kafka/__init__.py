"""Speaking Kafka: clients and their options, connections, rights, topics, readers, senders,
encoding. It knows neither events nor stages.
"""
