"""A report: one HTML file that holds everything it shows, and asks for nothing."""

from expstore.report.page import write_report

__all__ = ["write_report"]
