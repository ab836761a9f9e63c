"""Results to tables and one HTML page; nothing is computed anew from texts or models.

``write_report`` makes the page of a result and ``result_table`` its table for the terminal, by the kind of the result;
``write_index`` one page of all results below a folder.
"""

from tokenworth.report.index.index_file import write_index
from tokenworth.report.report_page import result_table, write_report
from tokenworth.report.terminal.tables import assessment_table, plain_text, ranking_table, show

__all__ = ["assessment_table", "plain_text", "ranking_table", "result_table", "show", "write_index", "write_report"]
