"""What comes of grades: feedback pages, tables, a file for a spreadsheet."""
