"""Kafka clients and their options, connections, rights, topics, readers, senders, encoding. Knows
neither events nor stages.
"""
