"""The values of a store: Metadata, Metric, tables of metrics, and frames of other libraries."""
