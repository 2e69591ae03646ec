"""What a store holds: Metadata, Metric, tables of metrics, and conversion to data frames."""
