"""Errors of SQS: what happened, and what to do. AWS's own messages are not repeated: some contain
credentials.
"""

from __future__ import annotations

from enum import StrEnum

from rollcall.errors import RollcallError


class Reason(StrEnum):
    """Why a call failed."""

    CREDENTIALS = "credentials"
    ACCESS = "access"
    NO_QUEUE = "no_queue"
    KMS = "kms"
    OVER_LIMIT = "over_limit"
    THROTTLED = "throttled"
    SERVER = "server"
    CONNECTION = "connection"
    OTHER = "other"


class QueueError(RollcallError):
    """A call to SQS failed."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


CREDENTIALS = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "InvalidSecurity",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "AuthFailure",
        "OptInRequired",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
ACCESS = frozenset({"AccessDenied", "AccessDeniedException", "NotAuthorized"})
NO_QUEUE = frozenset(
    {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NonExistentQueue"}
)
OVER_LIMIT = frozenset({"OverLimit", "AWS.SimpleQueueService.OverLimit"})
THROTTLED = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "SlowDown",
        "KmsThrottled",
        "KMS.ThrottlingException",
    }
)


def refused(code: str, status: int, call: str, queue: str) -> QueueError:
    """The error for an answer of SQS.

    Args:
        code: AWS's error code.
        status: of HTTP.
        call: the name of the API's action.
        queue: the queue's name.
    """
    code = code.removeprefix("com.amazonaws.sqs#")
    if code in CREDENTIALS:
        return QueueError(
            Reason.CREDENTIALS,
            f"the AWS credentials have expired ({code}); renew them: those of a profile or a role "
            "are read again, those in the environment at a restart"
            if code in _EXPIRED
            else f"AWS refuses the credentials ({code}); check the access key, the clock and the "
            "region",
        )
    if code in THROTTLED:
        return QueueError(
            Reason.THROTTLED, f"SQS slows this client down ({code}, {call}); it goes on by itself"
        )
    if code.lower().startswith("kms"):
        return QueueError(
            Reason.KMS,
            f"the key of the queue {queue} cannot be used ({code}); allow kms:Decrypt on it, or "
            "use SSE-SQS instead of a key of your own (docs/ingest.md)",
        )
    if code in ACCESS:
        return QueueError(
            Reason.ACCESS,
            f"AWS does not allow sqs:{call} on the queue {queue} ({code}); grant the rights in "
            "docs/ingest.md",
        )
    if code in NO_QUEUE:
        return QueueError(
            Reason.NO_QUEUE,
            f"there is no queue {queue}; create it, or check ROLLCALL_SQS_QUEUE_URL and the region",
        )
    if code in OVER_LIMIT:
        return QueueError(
            Reason.OVER_LIMIT,
            f"too many messages of the queue {queue} are in flight ({code}); look for another "
            "reader of the queue that does not delete",
        )
    if status >= 500:
        return QueueError(
            Reason.SERVER, f"SQS has a problem ({status} {code}, {call}); it goes on by itself"
        )
    return QueueError(
        Reason.OTHER,
        f"SQS refuses {call} on the queue {queue} ({status} {code}); 'rollcall ingest sqs --check' "
        "examines the queue",
    )


def no_credentials(kind: str) -> QueueError:
    """The error without usable credentials. ``kind``: the type of the library's error."""
    return QueueError(
        Reason.CREDENTIALS,
        f"there are no AWS credentials ({kind}); set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or AWS_PROFILE, or use a role (docs/ingest.md)",
    )


def no_role(call: str, code: str) -> QueueError:
    """The error when credentials cannot be got from AWS.

    Args:
        call: the name of the other API's action.
        code: AWS's error code.
    """
    return QueueError(
        Reason.CREDENTIALS,
        f"there are no AWS credentials, because {call} failed ({code}); check the role, its trust "
        "policy and the credentials that may assume it",
    )


def unreachable(url: str, kind: str) -> QueueError:
    """The error without a connection. ``kind``: the type of the library's error."""
    return QueueError(
        Reason.CONNECTION,
        f"SQS at {url} does not answer ({kind}); check the network and the proxy, "
        "ROLLCALL_SQS_QUEUE_URL and ROLLCALL_SQS_ENDPOINT",
    )
