# Generated from a declaration by formats.to_ksy: edit that, not this file.
meta:
  id: meta
  title: Experiment metadata
  ks-version: 0.9
  endian: be
doc: |
  Describes one experiment of an experiment store: the file meta.bin.

  Texts are UTF-8 by convention, but any bytes are allowed. Generated parsers treat
  invalid UTF-8 as their language does: many replace it, some fail. A schema with texts as
  bytes (`formats.to_ksy(..., texts_as_bytes=True)`) gives them unchanged in every
  language.

  Fields that the file ends before are absent: null, or whatever the language has for it.

  In JavaScript, integers beyond 2^53 lose their low bits.

  Perl and Nim do not check constants.
doc-ref: README.md in the package formats, section meta
seq:
  - id: version
    type: u1
    valid: 1
    doc: format version, always 1
  - id: timestamp
    type: s8
    doc: creation time in seconds since 1970-01-01 UTC
  - id: commit_id
    type: text
    doc: "the experiment's commit id; also its directory name"
  - id: job_name
    type: text
    if: not _io.eof
    doc: what was run; empty if the file ends before it
  - id: user
    type: text
    if: not _io.eof
    doc: who ran it; empty if the file ends before it
types:
  text:
    seq:
      - id: len
        type: u1
        doc: length of the value in bytes
      - id: value
        size: len
        type: str
        encoding: UTF-8
