"""Reports: self-contained HTML files that make no network requests."""

from expstore.report.page import write_report

__all__ = ["write_report"]
