"""Reports for people: contact sheets, HTML pages, tables of text."""
