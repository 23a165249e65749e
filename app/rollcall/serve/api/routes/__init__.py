"""Routes of the API: one module for each first part of a path below ``/api/v1``.

Each handler passes a function below it to :class:`ApiCall`, which runs it on the replica. Names and
docstrings of handlers stand in the OpenAPI document.
"""
