"""The errors of the simulator, and how each becomes a CS3 status.

A storage function raises one of the kinds below; the service that called it turns it into a
status with `status_of`, which words the message as oCIS does: the service's own words, then the
kind's, then what it is about. Kinds without a row in the table become INTERNAL, as there: a
client that tells errors apart by their text or expects a better code would be fooled by a
friendlier simulator.
"""
import cs3.rpc.v1beta1.code_pb2 as code
import cs3.rpc.v1beta1.status_pb2 as status_pb2


class SimError(Exception):
    kind = "internal"

    def __init__(self, text=""):
        super().__init__(text)
        self.text = text


class NotFound(SimError):
    kind = "not found"


class AlreadyExists(SimError):
    kind = "already exists"


class PermissionDenied(SimError):
    kind = "permission denied"


class PreconditionFailed(SimError):
    kind = "precondition failed"


class NotSupported(SimError):
    kind = "not supported"


class BadRequest(SimError):
    kind = "bad request"


class Aborted(SimError):
    kind = "aborted"


class InsufficientStorage(SimError):
    kind = "insufficient storage"


class ChecksumMismatch(SimError):
    kind = "checksum mismatch"


class TooEarly(SimError):
    kind = "too early"


class Locked(SimError):
    kind = "locked"


class ManagerFailed(SimError):
    """A share manager could not read or write its files: every call of it says INTERNAL then."""


# kind -> (code, glue between the service's words and the error's)
TABLE = {
    NotFound: (code.CODE_NOT_FOUND, ": error: not found: "),
    AlreadyExists: (code.CODE_ALREADY_EXISTS, ": error: already exists: "),
    PermissionDenied: (code.CODE_PERMISSION_DENIED, ": error: permission denied: "),
    PreconditionFailed: (code.CODE_FAILED_PRECONDITION, ": error: precondition failed: "),
    NotSupported: (code.CODE_UNIMPLEMENTED, ":error: not supported: "),
    BadRequest: (code.CODE_INVALID_ARGUMENT, ":error: bad request: "),
    Aborted: (code.CODE_ABORTED, ": error: aborted: "),
    Locked: (code.CODE_LOCKED, ": error: locked by "),
}


def status(number, message=""):
    return status_pb2.Status(code=number, message=message)


OK = status(code.CODE_OK)


def status_of(words, error):
    number, glue = TABLE.get(type(error), (code.CODE_INTERNAL, ":"))
    return status(number, words + glue + error.text)
