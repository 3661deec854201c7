"""The meta-filesystem as clients see it: bytes in S3, what they are on the server."""
