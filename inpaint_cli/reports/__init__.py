"""What people look at: contact sheets, HTML pages, tables of text."""
