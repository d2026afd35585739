"""Guards by which a protected resource refuses a lease that has ended: files, Postgres rows, Redis keys, S3 objects."""

from ._errors import FencingError, MissingTargetError, PublishError, StaleTokenError, VersionConflictError
from ._files import FencedFile, PublishedFile, published_file
from .postgres import Statement, fenced_update, fenced_update_statement
from .redis import afenced_set, fenced_set, token_key_of
from .s3 import TOKEN_METADATA, fenced_put

__all__ = [
    "TOKEN_METADATA",
    "FencedFile",
    "FencingError",
    "MissingTargetError",
    "PublishError",
    "PublishedFile",
    "StaleTokenError",
    "Statement",
    "VersionConflictError",
    "afenced_set",
    "fenced_put",
    "fenced_set",
    "fenced_update",
    "fenced_update_statement",
    "published_file",
    "token_key_of",
]
