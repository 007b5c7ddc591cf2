"""Make the sections of the page, each from the tables that it names."""
