"""META: the contents of `meta.bin`, one experiment's description in 12 to 777 bytes.

Guarantees: these bytes are all that a reader needs; version 1 is the only version.
"""

from construct import Int8ub, Int64sb, Struct

from formats.fields import AbsentAtEnd, Text, Version

META = Struct(
    "version" / Version(1, Int8ub) * "format version, always 1",
    "timestamp" / Int64sb * "creation time in seconds since 1970-01-01 UTC",
    "commit_id" / Text * "the experiment's commit id; also its directory name",
    "job_name" / AbsentAtEnd(Text, "") * "what was run; empty if the file ends before it",
    "user" / AbsentAtEnd(Text, "") * "who ran it; empty if the file ends before it",
)
