# Generated from a declaration by formats.to_ksy: edit that, not this file.
meta:
  id: metrics
  title: Experiment metrics
  ks-version: 0.9
  endian: be
doc: |
  The data points of one experiment, in the order in which they were logged: the file
  metrics.bin. It has no header, count or checksum.

  A file may end inside a record (a torn tail). This is not corruption: readers drop that
  record. A generated parser reads the whole sequence or fails with its end-of-stream
  error; to get the records before a torn tail, parse values of type `record` one at a
  time (in Rust, with a root, which may be empty).

  Texts are UTF-8 by convention, but any bytes are allowed. Generated parsers treat
  invalid UTF-8 as their language does: many replace it, some fail. A schema with texts as
  bytes (`formats.to_ksy(..., texts_as_bytes=True)`) gives them unchanged in every
  language.

  In JavaScript, integers beyond 2^53 lose their low bits.
doc-ref: README.md in the package formats, section metrics
seq:
  - id: records
    type: record
    repeat: eos
types:
  record:
    seq:
      - id: timestamp
        type: s8
        doc: time of logging in seconds since 1970-01-01 UTC
      - id: step
        type: u4
        doc: training step, counted by the caller
      - id: value
        type: f8
        doc: measured value, any IEEE 754 double; NaN keeps its payload
      - id: name
        type: text
        doc: metric name, such as loss or val/accuracy
  text:
    seq:
      - id: len
        type: u1
        doc: length of the value in bytes
      - id: value
        size: len
        type: str
        encoding: UTF-8
