# Generated from a declaration by formats.to_ksy: edit that, not this file.
meta:
  id: meta
  title: Experiment metadata
  ks-version: 0.9
  endian: be
doc: |
  Describes one experiment of an experiment store: the file meta.bin.

  Texts are UTF-8 by convention, but any bytes are allowed. Generated parsers treat
  invalid UTF-8 as their language does: Python raises UnicodeDecodeError, JavaScript
  inserts U+FFFD.

  A generated parser omits fields that the file ends before; their `has_` values show
  which.

  In JavaScript, integers beyond 2^53 lose their low bits.
doc-ref: README.md in the package formats, section meta
seq:
  - id: version
    type: u1
    valid: 1
    doc: format version, always 1
  - id: timestamp
    type: s8
    doc: creation time in seconds since 1970-01-01 UTC
  - id: len_commit_id
    type: u1
    doc: length of commit_id in bytes
  - id: commit_id
    type: str
    size: len_commit_id
    encoding: UTF-8
    doc: "the experiment's commit id; also its directory name"
  - id: len_job_name
    type: u1
    if: has_job_name
    doc: length of job_name in bytes
  - id: job_name
    type: str
    size: len_job_name
    encoding: UTF-8
    if: has_job_name
    doc: what was run; empty if the file ends before it
  - id: len_user
    type: u1
    if: has_user
    doc: length of user in bytes
  - id: user
    type: str
    size: len_user
    encoding: UTF-8
    if: has_user
    doc: who ran it; empty if the file ends before it
instances:
  has_job_name:
    value: not _io.eof
    doc: whether the file contains job_name
  has_user:
    value: not _io.eof
    doc: whether the file contains user
