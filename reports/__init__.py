"""Records -> tables, figures, HTML, Markdown. A report is a function of the records; nothing here trains."""
