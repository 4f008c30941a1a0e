"""The Event Socket protocol without any input or output: bytes in, messages out, and commands as bytes.

`commands` builds what is sent, `frames` cuts what is received, `events` reads it, `connection` says which
reply belongs to which command. Standard library and orjson only.
"""
