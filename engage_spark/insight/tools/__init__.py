"""Answer each question from the tables of analytics: one function per tool, of checked arguments."""
