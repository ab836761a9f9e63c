"""Results to tables and one HTML page.

Reads plain result data (an Assessment or a Ranking, see ``shapes``) and computes nothing new from texts or models.
``write_report`` makes the page; ``assessment_table`` and ``ranking_table`` make the tables of the terminal.
"""

from tokenworth.report.report_page import write_report
from tokenworth.report.terminal.tables import assessment_table, plain_text, ranking_table, show

__all__ = ["assessment_table", "plain_text", "ranking_table", "show", "write_report"]
